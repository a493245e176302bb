// The registry's feed on the wire: transactions and whole states, cut into frames and put together again.
//
// {"event": "changes" | "reset", "store_id", "revision", "items": [{"key", "value" (null: deleted),
// "revision"}],
//  "more": true in all parts but the last}; {"event": "synced"} once the receiver has all that there was.
#pragma once

#include "core/error.h"
#include "daemon/registry/feed_event.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <vector>

namespace p2prc::daemon {

// The documents that carry `event`, each well below the size of a frame. A single value too large for a frame
// is left out and its key returned in `too_large`.
std::vector<Json> feed_documents(const FeedEvent& event, std::vector<std::string>& too_large);

// Puts the parts together.
class FeedReader {
  public:
    // The whole event with the last of its parts; nothing before. InvalidSpec when the parts do not fit
    // together.
    Result<std::optional<FeedEvent>> take(const Json& document);

  private:
    std::optional<FeedEvent> partial_;
};

} // namespace p2prc::daemon
