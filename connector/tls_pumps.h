// Ends TLS at home: ciphertext from the tunnel on one side, the application's plain bytes on the other.
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
    std::chrono::milliseconds half_closed =
        std::chrono::seconds(60); // one direction has ended, no byte the other way
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
