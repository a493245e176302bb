// The events of the registry's feed, here and on the control link.
#pragma once

#include "state/state.h"

#include <cstdint>
#include <string>
#include <vector>

namespace p2prc::state {

// One step of a feed: either the whole state (`reset`), or the changes of one transaction.
struct FeedEvent {
    bool reset = false;
    std::string store_id;
    std::uint64_t revision = 0;
    std::vector<Change> items;
};

} // namespace p2prc::state
