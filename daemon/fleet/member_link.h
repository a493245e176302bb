// A member's control link to the root: dials, keeps the connection alive, detects its loss, and dials again.
#pragma once

#include "daemon/fleet/control.h"
#include "net/address.h"
#include "net/identity.h"
#include "registry/gateway.h"
#include "state/own_state.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

// A root that has just admitted a node may refuse its key a few times more.
inline constexpr int refusals_believed = 5;

struct LinkTiming {
    std::chrono::milliseconds dial{2000};
    std::chrono::milliseconds handshake{5000};
    std::chrono::milliseconds retry{2000};    // from one attempt to the next
    std::chrono::milliseconds refused{30000}; // the same once the root has refused our key several times
    std::chrono::milliseconds ping{3000};
    std::chrono::milliseconds dead{6500};  // silence after which the root is gone
    std::chrono::milliseconds probe{1500}; // the same after a change of this machine's network
    // After this long without a link DNS is asked, too, and again after each such time.
    std::chrono::milliseconds look_up{30000};
    // For this long after the link was lost, people's requests wait for it: a root that is being upgraded is
    // back by the third attempt.
    std::chrono::milliseconds back{6000};
    // For this long, a link that has never been up counts as being made, and not as a fault: after a boot the
    // network takes its time.
    std::chrono::milliseconds first{20000};
    std::chrono::milliseconds join{20000}; // how long a join waits for the link
};

struct LinkOptions {
    std::string node;     // this node's name
    std::string root_key; // fingerprint
    // Of the root's edge; asked before each attempt.
    std::function<std::vector<net::Endpoint>()> addresses;
    // Other addresses of it, as DNS has them; asked when none of those leads to it. May be empty.
    std::function<boost::asio::awaitable<std::vector<net::Endpoint>>()> look_up;
    OpenLogs open_logs;         // for other nodes that ask
    MeasureUsage measure_usage; // the same
    // Called for each transition, with the reason when it went down.
    std::function<void(bool up, const std::string& reason)> changed;
    // The root has refused this node's key several times in a row.
    std::function<void()> refused;
    // The address at which the root was reached.
    std::function<void(const net::Address& address)> reached;
    // The address that the root saw us come from.
    std::function<void(const std::string& source)> seen_from;
    // A new measurement of the round trip.
    std::function<void(std::chrono::microseconds)> measured;
    // How far this machine's clock is ahead of the root's.
    std::function<void(std::chrono::milliseconds ahead)> clock;
    // Somebody on another node looks at what processes use.
    std::function<void()> looked;
    LinkTiming timing;
};

// An attempt at one of the root's addresses.
struct DialFailure {
    net::Endpoint endpoint;
    Error error;
    bool has_route = true;
};
// What people are told after all addresses failed: of the one that worked last, or else of the first to which
// this machine has a route. A family of addresses that it does not have is nothing to mend.
Error telling_failure(std::span<const DialFailure> failures, const std::optional<net::Address>& worked);

// Feeds the replica, uploads the own state, and carries requests. Up means that the replica holds everything.
class MemberLink : public registry::Gateway {
  public:
    MemberLink(boost::asio::any_io_executor executor, const net::Identity& identity, state::Replica& replica,
               state::OwnState& own, LinkOptions options);
    ~MemberLink() override;

    boost::asio::awaitable<Result<Json>> request(std::string method, Json params) override;
    bool reachable() const override;
    bool connecting() const override;
    Error away() const override;
    std::optional<Error> upload_trouble() const override;
    boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>> open_stream(std::string method,
                                                                                  Json params);

    // Waits until the link is up; otherwise the reason why the last attempt failed. It is not waited for any
    // longer when the root has refused this node's key in so many attempts that began meanwhile.
    boost::asio::awaitable<Result<void>> wait_up(std::chrono::milliseconds timeout,
                                                 int refusals = refusals_believed);
    // The same for a link that was lost, or begun, a moment ago; one that has been away for longer, or whose
    // key the root refuses, is not waited for. Nothing that was sent is sent again.
    boost::asio::awaitable<void> wait_back();
    // This machine's network has changed: probes the link, or dials at once.
    void network_changed();
    // Tells the root that somebody here looks at what processes use.
    void look();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
