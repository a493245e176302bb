// A session's connection: frames both ways, and pings that detect a peer that has silently gone.
#pragma once

#include "core/error.h"
#include "net/tls.h"
#include "tunnel/session_frame.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>

namespace p2prc::tunnel {

struct PingTimes {
    std::chrono::milliseconds interval{15000};
    int misses = 3; // after this many intervals without a byte, the peer counts as gone
};

// All on one thread. Destroying it closes the connection.
class SessionChannel {
  public:
    // `stream` has completed its handshake.
    SessionChannel(boost::asio::any_io_executor executor, net::TlsStream stream, PingTimes times = {});
    SessionChannel(SessionChannel&&) noexcept;
    SessionChannel& operator=(SessionChannel&&) noexcept;
    ~SessionChannel();

    // The next frame; pings are answered internally. Unreachable if the peer closed, fell silent or violated
    // the protocol.
    boost::asio::awaitable<Result<SessionFrame>> receive();
    // Queues a frame. If the peer lets 64 KiB pile up, the connection is closed.
    void send(const Bytes& frame);
    // Closes unless the peer sends something within `within`. For use after a change of the network.
    void probe(std::chrono::milliseconds within);
    void close() noexcept;
    // If it was closed because the peer fell silent: since when it has been; otherwise 0.
    std::chrono::nanoseconds silence() const noexcept;

    net::TlsStream& stream() noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::tunnel
