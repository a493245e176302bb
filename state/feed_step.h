// One step of the registry's feed as the root has it: texts, made once and shared by all that follow.
#pragma once

#include "core/encoding.h"
#include "state/feed_event.h"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::state {

struct FeedText {
    std::string key;
    std::optional<std::string> value; // a JSON document; nothing: deleted
    std::uint64_t revision = 0;
};

// Like FeedEvent: either the whole state (`reset`), or the changes of one transaction.
struct FeedStep {
    bool reset = false;
    std::string store_id;
    std::uint64_t revision = 0;
    std::vector<FeedText> items;

    // The documents read: for a replica in this process.
    FeedEvent event() const;

    // Parts that are on their way to peers (link/feed.h), by the place of their first item: whoever
    // needs one that another has made takes the same. Used on the event loop only.
    struct Part {
        std::weak_ptr<const Bytes> frame;
        std::size_t end = 0;
    };
    mutable std::map<std::size_t, Part> parts = {};
};

} // namespace p2prc::state
