// The root's side of all control links: serves members' requests, feeds their replicas, passes requests
// between nodes, and judges who is alive.
#pragma once

#include "daemon/fleet/control.h"
#include "net/address.h"
#include "net/tls.h"
#include "registry/local_registry.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace p2prc::daemon {

struct HubTiming {
    std::chrono::milliseconds hello{5000};
    std::chrono::milliseconds suspect{7500}; // silence; members ping every 3 s
    std::chrono::milliseconds lost{30000};
    std::chrono::milliseconds tick{2000};
    std::chrono::milliseconds sweep{60000}; // from one removal of what has run out to the next
    // One that takes longer to say what its processes use is left out: the others are not to wait for it.
    std::chrono::milliseconds usage{2000};
    // What a member has measured is passed to all who ask within this time. `p2prc top` asks once a second.
    std::chrono::milliseconds usage_fresh{500};
};

struct HubOptions {
    std::function<std::string()> node_name; // the root's own
    OpenLogs open_logs;                     // of the root's own processes
    MeasureUsage measure_usage;             // of the same
    std::function<void()> looked;           // a member looks at what processes use
    HubTiming timing;
};

// A node of the replica by the fingerprint of its p2prcd's key.
// nullptr: there is none. Valid until the state changes.
const NodeRecord* find_node_by_key(const state::State& state, std::string_view fingerprint);

class Hub {
  public:
    // `replica` is the root's own, fed by `registry`; both outlive the hub.
    Hub(boost::asio::any_io_executor executor, registry::LocalRegistry& registry, state::Replica& replica,
        HubOptions options);
    ~Hub();

    // Whether a key may open a control link.
    bool is_member(std::string_view fingerprint) const;
    // A connection whose peer TLS has verified. Its key is looked up again: it may have been removed
    // meanwhile.
    void serve(net::TlsStream stream, net::Endpoint source);

    boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>>
    open_stream(std::string node, std::string method, Json params);
    // What the processes of a member use, or of all members if `node` is empty: {node: NodeUsage}. Those that
    // do not answer in time are not in it.
    boost::asio::awaitable<Json> usage(std::string node);
    // Somebody looks at what processes use: all members are told.
    void look();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
