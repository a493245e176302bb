// Accepts connections on ports 443 and 80 and reads their first bytes, within limits of number, bytes and
// time.
#pragma once

#include "edge/http/request.h"
#include "edge/listen/connection.h"
#include "edge/listen/counters.h"
#include "edge/sni/client_hello.h"
#include "tunnel/poller.h"

#include <chrono>
#include <cstddef>
#include <memory>

namespace p2prc::edge {

struct ListenerOptions {
    std::chrono::milliseconds first_timeout{5000}; // from accept to the whole hello or request head
    // Connections that are not classified yet; beyond this, the oldest is evicted.
    std::size_t waiting = 8192;
    // The same from one IPv4 address or IPv6 /64; beyond this, the oldest of them is evicted.
    std::size_t waiting_per_address = 256;
    // Bytes that these connections have sent, in total; beyond this, the one that holds most is evicted.
    std::size_t waiting_bytes = 32 << 20;
};

// Handles a connection once its first bytes are known. Each call takes ownership of the connection; none may
// destroy the Listener.
class ConnectionHandler {
  public:
    virtual ~ConnectionHandler() = default;
    virtual void on_hello(Connection connection, ClientHello hello) = 0;
    virtual void on_refused_hello(Connection connection, HelloRefusal refusal) = 0;
    // It began with "P2PF" and has sent at least a whole preface. More than a preface is a protocol
    // violation.
    virtual void on_flow(Connection connection) = 0;
    virtual void on_request(Connection connection, Protocol protocol, const HttpRequest& request) = 0;
    virtual void on_refused_request(Connection connection, int status) = 0;
};

class Listener {
  public:
    Listener(tunnel::Poller& poller, ListenerOptions options, ConnectionHandler& handler, Counters& counters);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // A listening stream socket, from systemd or from open_listener.
    Result<void> listen(net::UniqueFd socket, Protocol protocol);
    // Stops accepting; open connections stay.
    void stop_accepting();
    std::size_t waiting() const noexcept;

    struct State; // of the implementation

  private:
    std::unique_ptr<State> state_;
};

// A listening TCP socket at `endpoint` (port 0: the kernel chooses). An IPv6 one takes no IPv4.
Result<net::UniqueFd> open_listener(const net::Endpoint& endpoint);

} // namespace p2prc::edge
