// The edge's end of all tunnels: sessions of connectors, their flow connections lying ready, and one for each
// client.
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
#include <string>
#include <vector>

namespace p2prc::edge {

struct TunnelOptions {
    std::chrono::milliseconds handshake{5000};  // of a session
    std::chrono::milliseconds wait{10000};      // for a flow connection and for its answer, in all
    std::chrono::milliseconds another{300};     // no answer so long: another flow connection is tried as well
    std::chrono::milliseconds idle_life{60000}; // a flow connection that nobody took is renewed
    std::chrono::milliseconds settle{10000};    // how often surplus flow connections are looked for
    std::size_t handshakes = 256;               // sessions under way at most: over it, the oldest goes
    std::size_t handshakes_per_address = 8; // of those, from one IPv4 address or IPv6 /64: its oldest goes
    std::size_t waiting = 1024;             // clients that wait for one connector: the oldest goes
    std::size_t waiting_in_all = 8192;      // for any: the oldest goes
    std::size_t waiting_per_address = 64;   // of those, from one address: its oldest goes
    std::size_t waiting_bytes = 32 << 20;   // that they have said, together: who has said most goes
    std::size_t sessions_per_key = 4;       // the oldest goes
    std::size_t spare = 16;                 // flow connections beyond what was asked for: the oldest goes
    std::size_t idle = 65536;               // of all sessions: whose session has most loses its oldest
    tunnel::PingTimes ping = {};
};

// A client that is to be carried home.
struct FlowRequest {
    std::string connector_key; // fingerprint, from the route
    std::uint32_t mapping_id = 0;
    TlsMode tls = TlsMode::Passthrough;
    net::Endpoint client;
    net::Endpoint server; // where the client connected to
    std::string server_name;
    std::string first_bytes; // what the client has sent so far: its ClientHello
};

// A flow connection whose connector has accepted. Non-blocking and registered with the Poller already:
// whoever gets it hands it to Pumps (as `polled`), or closes it, before it returns to the loop or awaits
// anything.
struct ReadyFlow {
    net::UniqueFd socket;
    std::string unsent; // the rest of first_bytes, to be sent before anything else; nearly always empty
};

struct TunnelCounts {
    std::size_t homes = 0; // connectors that have a session
    std::size_t sessions = 0;
    std::size_t handshakes = 0;     // sessions under way
    std::size_t idle = 0;           // flow connections that lie ready
    std::size_t waiting = 0;        // clients without one
    std::uint64_t opened = 0;       // flows accepted by connectors
    std::uint64_t refused = 0;      // by connectors
    std::uint64_t failed = 0;       // no connection or no answer in time
    std::uint64_t crowded_out = 0;  // of those, by a limit
    std::uint64_t surplus = 0;      // flow connections that nobody had asked for
    std::uint64_t bad_prefaces = 0; // malformed, unknown session, wrong MAC
    std::uint64_t replays = 0;      // a counter shown twice
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

    // Fingerprints of the connectors that may have sessions. A key that is gone loses its sessions, the flow
    // connections that lie ready, and the clients that wait for it, at once.
    void allow(const std::vector<std::string>& connector_keys);

    // A connection that began with a ClientHello of ALPN p2prc-tunnel/1; `received` is what was read of it.
    void accept_session(net::UniqueFd socket, Bytes received);
    // A connection that began with "P2PF"; `received`: its preface, and nothing more, or it is closed.
    // `polled`: it is registered with the Poller already.
    void accept_flow(net::UniqueFd socket, ByteView received, bool polled = false);

    // Unreachable: the home is not connected, or did not answer in time; NotFound, NotSupported, Failed as
    // the connector says. `done` is never called from inside.
    using Ticket = std::weak_ptr<PendingFlow>;
    Ticket open(FlowRequest request, Opened done);
    // The client has left: `done` is not called, unless the call is on its way already.
    void cancel(const Ticket& ticket);
    boost::asio::awaitable<Result<ReadyFlow>> open(FlowRequest request);

    TunnelCounts counts() const;

  private:
    struct State;
    explicit Tunnels(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace p2prc::edge
