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

// The documents that carry an event, made one after the other; each is well below the size of a frame, so
// that others come in between.
class FeedWriter {
  public:
    explicit FeedWriter(FeedEvent event) : event_(std::move(event)) {}
    // The next document; there is at least one. Not to be called once it is done().
    Json next();
    bool done() const { return done_; }
    // Keys whose single value does not fit into a frame: they are left out.
    const std::vector<std::string>& too_large() const { return too_large_; }

  private:
    FeedEvent event_;
    std::size_t at_ = 0;
    bool done_ = false;
    std::vector<std::string> too_large_;
};

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
