// A session's connection: frames both ways, and pings that notice a peer that has silently gone.
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
    int misses = 3; // so many intervals without a byte from the peer, and it is gone
};

// All on one thread. Destroying it closes the connection.
class SessionChannel {
  public:
    // `stream` has done its handshake.
    SessionChannel(boost::asio::any_io_executor executor, net::TlsStream stream, PingTimes times = {});
    SessionChannel(SessionChannel&&) noexcept;
    SessionChannel& operator=(SessionChannel&&) noexcept;
    ~SessionChannel();

    // The next frame; pings are answered inside. Unreachable when the peer closed, fell silent or spoke
    // nonsense.
    boost::asio::awaitable<Result<SessionFrame>> receive();
    // Queues a frame. A peer that lets 64 KiB pile up loses the connection.
    void send(const Bytes& frame);
    // Closes unless something is heard within `within`: for when the network below has changed.
    void probe(std::chrono::milliseconds within);
    void close() noexcept;

    net::TlsStream& stream() noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::tunnel
