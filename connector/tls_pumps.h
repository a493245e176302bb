// Terminates TLS at home: ciphertext from the tunnel on one side, the application's plain bytes on the other.
//
// As in the plain pump each direction ends on its own: close_notify becomes a FIN, a FIN becomes
// close_notify. A stream that is cut without close_notify becomes a reset, so that the application takes no
// torn message for whole. An application that ends before it has heard anything, as one does that is
// restarted while a client is still shaking hands, is dialled again in its next run: the client has lost
// nothing by it.
#pragma once

#include "connector/flow_pool.h"
#include "tunnel/poller.h"
#include "tunnel/traffic.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
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
    std::size_t without_application = 1024; // clients whose application is dialled again
};

// For applications that end before they have heard their client: how a mapping is resolved, and who serves an
// error page at the other end of a socket.
struct Replacements {
    std::function<Resolved(std::uint32_t mapping)> resolve = {};
    std::function<void(net::UniqueFd socket, Trouble, std::uint32_t mapping)> page = {};
};

class TlsPumps {
  public:
    explicit TlsPumps(tunnel::Poller& poller, TlsPumpOptions options = {}, Replacements replacements = {});
    ~TlsPumps(); // closes all
    TlsPumps(const TlsPumps&) = delete;
    TlsPumps& operator=(const TlsPumps&) = delete;

    // `flow.tls` is set. Its tunnel socket is registered with the poller already.
    void start(AcceptedFlow flow, tunnel::TrafficShare traffic = {});
    // Replacements::resolve may give other answers now.
    void mappings_changed();
    std::size_t size() const noexcept;
    // Those that wait for another application.
    std::size_t waiting() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
