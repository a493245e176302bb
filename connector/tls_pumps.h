// Terminates TLS at home: ciphertext from the tunnel on one side, the application's plain bytes on the other.
//
// As in the plain pump each direction ends on its own: close_notify becomes a FIN, a FIN becomes
// close_notify. A stream that is cut without close_notify becomes a reset, so that the application takes no
// torn message for whole.
#pragma once

#include "connector/flow_pool.h"
#include "tunnel/poller.h"

#include <chrono>
#include <cstddef>
#include <memory>

namespace p2prc::connector {

struct TlsPumpOptions {
    std::chrono::milliseconds handshake{10000};
    std::chrono::milliseconds idle = std::chrono::hours(1);
    // One direction has ended, and no byte moves the other way. Long, because the client may have paused near
    // the end of a download: the edge knows whether all has arrived, and ends half-closed connections itself.
    std::chrono::milliseconds half_closed = std::chrono::hours(1);
    // The edge has acknowledged nothing for this long although it was probed.
    std::chrono::milliseconds silence = std::chrono::minutes(2);
};

class TlsPumps {
  public:
    explicit TlsPumps(tunnel::Poller& poller, TlsPumpOptions options = {});
    ~TlsPumps(); // closes all
    TlsPumps(const TlsPumps&) = delete;
    TlsPumps& operator=(const TlsPumps&) = delete;

    // `flow.tls` is set. Its tunnel socket is registered with the poller already.
    void start(AcceptedFlow flow);
    std::size_t size() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
