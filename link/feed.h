// The registry's feed on the wire: transactions and whole states, cut into frames and put together again.
//
// {"event": "changes" | "reset", "store_id", "revision", "items": [{"key", "value" (null: deleted),
// "revision"}],
//  "more": true in all parts but the last}; {"event": "synced"} once the receiver has all that there was.
#pragma once

#include "core/error.h"
#include "state/feed_step.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <optional>
#include <vector>

namespace p2prc::link {

// The frames that carry a step, one after the other; each is well below the largest one, so that others come
// in between. What one writer has made and is still on its way, the next one takes.
class FeedWriter {
  public:
    explicit FeedWriter(std::shared_ptr<const state::FeedStep> step) : step_(std::move(step)) {}
    // The next frame; there is at least one. Not to be called once it is done().
    std::shared_ptr<const Bytes> next();
    bool done() const { return done_; }
    // Keys whose single value does not fit into a frame: they are left out.
    const std::vector<std::string>& too_large() const { return too_large_; }

  private:
    std::shared_ptr<const state::FeedStep> step_;
    std::size_t at_ = 0;
    bool done_ = false;
    std::vector<std::string> too_large_;
};

// Puts the parts together.
class FeedReader {
  public:
    // The whole event with the last of its parts; nothing before. InvalidSpec when the parts do not fit
    // together.
    Result<std::optional<state::FeedEvent>> take(const Json& document);

  private:
    std::optional<state::FeedEvent> partial_;
};

} // namespace p2prc::link
