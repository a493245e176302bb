// A step of the feed made of documents, for tests; the registry makes them of the texts that it stores.
#pragma once

#include "state/feed_step.h"
#include "state/state.h"

#include <memory>

namespace p2prc::link {

inline std::shared_ptr<const state::FeedStep> step_of(const state::FeedEvent& event) {
    auto step =
        std::make_shared<state::FeedStep>(state::FeedStep{event.reset, event.store_id, event.revision, {}});
    for (const auto& item : event.items)
        step->items.push_back({item.key,
                               item.value ? std::optional(state::document_text(*item.value)) : std::nullopt,
                               item.revision});
    return step;
}

} // namespace p2prc::link
