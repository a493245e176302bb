// What the bus asks of the fleet: create it, invite to it, join and leave it, and read the logs of any node.
#pragma once

#include "core/error.h"
#include "link/text_stream.h"
#include "registry/gateway.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::daemon {

// The logs of a process of this node: {process: name, id or domain; lines: uint; follow: bool} -> its
// journal.
using OpenLogs =
    std::function<boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>>(Json params)>;

// What the processes of this node use: a NodeUsage.
using MeasureUsage = std::function<boost::asio::awaitable<Result<Json>>()>;

// How long the nodes keep measuring after somebody looked, and how often they are told so at most.
inline constexpr auto look_time = std::chrono::seconds(30);
inline constexpr auto look_pause = std::chrono::seconds(10);

// All `by` are "user@node", for the records; rights were checked on the bus.
class FleetControl {
  public:
    virtual ~FleetControl() = default;

    // This node's name, and whether the registry is in this process.
    virtual std::string node_name() const = 0;
    virtual bool is_root() const = 0;
    // The registry, wherever it is now. Valid as long as this object.
    virtual registry::Gateway& gateway() = 0;
    // Returns at once, unless the registry is just coming back, or just being reached for the first time.
    virtual boost::asio::awaitable<void> wait_back() { co_return; }

    // options {name?, domain?, public_ips?: [..], acme?} -> {name, domain, public_ips, acme, edge: bool (it
    // was enabled and started), records: [{name, type, data}] to set at the registrar, hint}. Said again with
    // the same options it changes nothing.
    virtual boost::asio::awaitable<Result<Json>> init(Json options, std::string by) = 0;

    // -> {token: "p2prc1_...", expires: RFC 3339}. On any node with the role owner.
    virtual boost::asio::awaitable<Result<Json>> invite(std::string role, std::uint64_t expires_seconds,
                                                        std::string by) = 0;

    // Returns when the link is up and the replica is complete: {name, domain, root}. `name` may be empty:
    // this node's present one.
    virtual boost::asio::awaitable<Result<Json>> join(std::string token, std::string name,
                                                      std::string by) = 0;

    // Back to a fleet of one, with the processes that run here. With `force` the root need not answer; it
    // keeps the node in its list, lost, until somebody removes it.
    virtual boost::asio::awaitable<Result<void>> leave(bool force, std::string by) = 0;
    virtual boost::asio::awaitable<Result<void>> remove_node(std::string name, std::string by) = 0;

    // The web CA's certificate in PEM; NotFound in a fleet that has none.
    virtual Result<std::string> web_ca() const = 0;

    // Somebody looks at what processes use: for look_time every node measures them often. Cheap, and said
    // again while it is looked at.
    virtual void look() = 0;

    // What processes use now: {node: NodeUsage}, of one node, or of all if `node` is empty. Nodes that do not
    // answer at once are not in it.
    virtual boost::asio::awaitable<Json> usage(std::string node) = 0;

    // The logs of a process wherever it runs: {process, lines, follow} and the node that runs it.
    virtual boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>> logs(std::string node,
                                                                                   Json params) = 0;
};

} // namespace p2prc::daemon
