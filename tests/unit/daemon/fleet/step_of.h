// A step of the feed made of documents, for tests; the registry makes them of the texts that it stores.
#pragma once

#include "daemon/registry/feed_step.h"
#include "daemon/state/state.h"

#include <memory>

namespace p2prc::daemon {

inline std::shared_ptr<const FeedStep> step_of(const FeedEvent& event) {
    auto step = std::make_shared<FeedStep>(FeedStep{event.reset, event.store_id, event.revision, {}});
    for (const auto& item : event.items)
        step->items.push_back(
            {item.key, item.value ? std::optional(document_text(*item.value)) : std::nullopt, item.revision});
    return step;
}

} // namespace p2prc::daemon
