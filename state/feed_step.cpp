#include "state/feed_step.h"

namespace p2prc::state {

FeedEvent FeedStep::event() const {
    FeedEvent event{reset, store_id, revision, {}};
    event.items.reserve(items.size());
    for (const auto& item : items) {
        auto value = item.value ? std::optional(Json::parse(*item.value, nullptr, false)) : std::nullopt;
        event.items.push_back({item.key, std::move(value), item.revision});
    }
    return event;
}

} // namespace p2prc::state
