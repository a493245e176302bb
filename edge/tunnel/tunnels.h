// The edge's end of all tunnels: connectors' sessions, their idle flow connections, and one for each client.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "core/records.h"
#include "net/address.h"
#include "net/fd.h"
#include "net/identity.h"
#include "tunnel/poller.h"
#include "tunnel/session_channel.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::edge {

struct TunnelOptions {
    std::chrono::milliseconds handshake{5000}; // of a session
    std::chrono::milliseconds wait{10000};     // for a flow connection and its answer, in total
    // The same where the connector says that it holds the client for a process that is on its way: what a
    // process file can ask for, and a little.
    std::chrono::milliseconds longest_hold{62000};
    // A connector that does not know a mapping may be told of it in a moment, or the name may lead elsewhere:
    // so often its client is asked for again, and for so long.
    std::chrono::milliseconds look_up{250};
    std::chrono::milliseconds news{1000};
    std::chrono::milliseconds another{300}; // without an answer, another flow connection is tried as well
    // After another{} without an answer the connector itself is asked: one that says nothing for this time
    // has gone. A session's handshake would fail over such a path, too.
    std::chrono::milliseconds probe{5000};
    // For a connector that has lost its last session: it may be restarting or changing its address, and tries
    // again every two seconds. Beyond this, clients are refused at once.
    std::chrono::milliseconds back{3000};
    std::chrono::milliseconds idle_life{60000}; // an idle flow connection is closed after this time
    std::chrono::milliseconds settle{10000};    // how often the target may fall
    // Beyond each of these limits, the oldest is evicted unless another choice is named.
    std::size_t handshakes = 256;           // in progress
    std::size_t handshakes_per_address = 8; // of those, from one IPv4 address or IPv6 /64
    std::size_t waiting = 1024;             // clients waiting for one connector, and as many held by it
    std::size_t waiting_in_all = 8192;      // clients waiting for or held by any connector
    std::size_t waiting_per_address = 64;   // of those that wait, from one address
    std::size_t held_per_address = 256;     // of those that are held: seconds of a busy household's requests
    std::size_t waiting_bytes = 32 << 20;   // that these have sent, in total: the largest is evicted
    std::size_t sessions_per_key = 4;
    std::size_t spare = 16;   // flow connections beyond the target
    std::size_t idle = 65536; // of all sessions: the session with most loses its oldest
    tunnel::PingTimes ping = {};
};

// Where the clients of a name go.
struct Destination {
    std::string connector_key; // fingerprint, from the route
    std::uint32_t mapping_id = 0;
    TlsMode tls = TlsMode::Passthrough;
};

// What a client needs: a flow to the home of a mapping.
struct FlowRequest {
    std::string connector_key; // fingerprint, from the route
    std::uint32_t mapping_id = 0;
    TlsMode tls = TlsMode::Passthrough;
    net::Endpoint client;
    net::Endpoint server; // where the client connected to
    std::string server_name;
    std::string first_bytes; // what the client has sent so far: its ClientHello
};

// A flow connection whose connector has accepted. It is non-blocking and registered with the Poller: the
// receiver must pass it to Pumps (as `polled`) or close it before it returns to the loop or awaits anything.
struct ReadyFlow {
    net::UniqueFd socket;
    std::string unsent; // the rest of first_bytes, to be sent first; nearly always empty
    // The connector, if it is not the one that was asked for: its name's route has changed meanwhile.
    std::string moved_to = {};
};

struct TunnelCounts {
    std::size_t homes = 0; // connectors that have a session
    std::size_t sessions = 0;
    std::size_t handshakes = 0;     // in progress
    std::size_t idle = 0;           // idle flow connections
    std::size_t waiting = 0;        // clients without a flow connection, or held for a process
    std::uint64_t opened = 0;       // flows accepted by connectors
    std::uint64_t refused = 0;      // by connectors
    std::uint64_t failed = 0;       // no flow connection or no answer in time
    std::uint64_t crowded_out = 0;  // evicted by a limit
    std::uint64_t surplus = 0;      // flow connections beyond the limits
    std::uint64_t bad_prefaces = 0; // malformed, unknown session, wrong MAC
    std::uint64_t replays = 0;      // a counter used twice
};

struct PendingFlow;

// On one thread, that of the Poller's executor. The Poller must outlive it.
class Tunnels {
  public:
    using Opened = std::function<void(Result<ReadyFlow>)>;

    static Result<std::unique_ptr<Tunnels>> create(tunnel::Poller& poller, const net::Identity& identity,
                                                   TunnelOptions options = {});
    ~Tunnels(); // drops all; callbacks of open() are not called
    Tunnels(const Tunnels&) = delete;
    Tunnels& operator=(const Tunnels&) = delete;

    // Sets the fingerprints of the connectors that may have sessions. A removed key loses its sessions, its
    // idle flow connections and its waiting clients at once.
    void allow(const std::vector<std::string>& connector_keys);

    // A connection of `from` that began with a ClientHello of ALPN p2prc-tunnel/1; `received` is what was
    // read of it.
    void accept_session(net::UniqueFd socket, const net::Address& from, Bytes received);
    // A connection that began with "P2PF". `received` must be exactly its preface, or it is closed.
    // `polled`: it is registered with the Poller already.
    void accept_flow(net::UniqueFd socket, ByteView received, bool polled = false);

    // Unreachable: the connector has no session, also shortly after it was heard of last, or did not answer
    // in time. NotFound, NotSupported, Failed: the connector refused. `done` is never called from inside
    // open().
    using Ticket = std::weak_ptr<PendingFlow>;
    // Asked where the clients of a name go now, before one of them is given up; nothing: nowhere.
    using LookUp = std::function<std::optional<Destination>(const std::string& name)>;
    void look_up_with(LookUp look_up);
    Ticket open(FlowRequest request, Opened done);
    // The client has left: `done` is not called any more, unless the call is already queued.
    void cancel(const Ticket& ticket);

    TunnelCounts counts() const;

  private:
    struct State;
    explicit Tunnels(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace p2prc::edge
