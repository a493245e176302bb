// The registry beside an event loop: requests run on the disk thread, changes come back to the loop.
#pragma once

#include "registry/gateway.h"
#include "registry/registry.h"
#include "state/feed_step.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <string>

namespace p2prc::state {
class Disk;
}

namespace p2prc::registry {

// Called on the event loop, in the order of revisions.
using FeedSink = std::function<void(const std::shared_ptr<const state::FeedStep>&)>;
// Called on the event loop when the feed has failed: there are no more events.
using FeedLost = std::function<void(const Error&)>;

// What one node may have waiting: further requests of it are refused.
inline constexpr std::size_t max_waiting_requests = 1000;

// Nodes take turns, this one among them: the disk thread has one request or feed of each node at a time.
// However much one node asks, a request of another waits for one of its requests at most.
class LocalRegistry : public Gateway {
  public:
    // `loop` is the daemon's executor. Without a registry it has to be opened.
    LocalRegistry(std::unique_ptr<Registry> registry, state::Disk& disk, boost::asio::any_io_executor loop);
    // Opens the file on the disk's thread, which one open registry locks: an earlier one of the same disk
    // that was closed before this is called is out of the way by then, be it that it was just being opened.
    boost::asio::awaitable<Result<void>> open(RegistryOptions options);
    ~LocalRegistry() override;

    // Requests that are under way are still answered; those that wait for their node's turn and later ones
    // are refused, whoever holds this object. The file is closed on the disk's thread, before all that is
    // posted to it later.
    void close();

    // As this node itself, whose name and role are those of the actor last given to `act_as`.
    boost::asio::awaitable<Result<Json>> request(std::string method, Json params) override;
    bool reachable() const override { return true; }
    void act_as(std::string node, Role role);

    // For a peer on a link.
    boost::asio::awaitable<Result<Json>> request_as(Actor actor, std::string method, Json params);

    // Feeds `sink` from `position` on: with the changes since, or with a reset first when the store is
    // another one, the history is gone or the position is ahead. Ends with the subscription.
    [[nodiscard]] state::Subscription follow(state::FeedPosition position, FeedSink sink, FeedLost lost);
    // For a peer on a link, in its turn. `caught_up` is called once `sink` has had what there was before.
    [[nodiscard]] state::Subscription follow_as(const std::string& node, state::FeedPosition position,
                                                FeedSink sink, FeedLost lost,
                                                std::function<void()> caught_up);

    // From any handler of the loop, without waiting for the disk.
    std::optional<OpenInvitation> find_invitation(std::string_view id) const;

  private:
    struct Shared;
    struct Following;
    std::shared_ptr<Shared> shared_;
};

// Keeps `replica` equal to the registry: what feeds the replica on the node that has the registry.
[[nodiscard]] state::Subscription feed_replica(LocalRegistry& registry, state::Replica& replica,
                                               FeedLost lost);

} // namespace p2prc::registry
