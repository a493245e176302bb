// Moves bytes between two stream sockets, both ways, inside the kernel where that pays, until both ends are
// done.
//
// Each direction ends on its own: a FIN on one side becomes a FIN on the other after everything before it,
// and the other direction stays open. A reset becomes a reset. An idle connection holds no buffer and no
// pipe.
#pragma once

#include "net/fd.h"
#include "tunnel/poller.h"
#include "tunnel/traffic.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace p2prc::tunnel {

struct PumpOptions {
    std::chrono::milliseconds idle = std::chrono::hours(1); // no byte either way
    std::chrono::milliseconds half_closed =
        std::chrono::seconds(60); // one direction has ended, and all of it is there; no byte the other way
    // If the peer acknowledges nothing for this long although it was probed, it is gone. Long enough for a
    // telephone on a train in a tunnel.
    std::chrono::milliseconds silence = std::chrono::minutes(2);
    std::size_t pipes = 60; // large pipes at most: the kernel allows an unprivileged user 64 MiB of them
    std::size_t pipe_bytes = 1 << 20; // of each; fs.pipe-max-size
    std::size_t small_pipes = 64;     // of the kernel's default size, once the large ones are all in use
};

enum class PumpEnd { Finished, Reset, IdleTimeout, HalfClosedTimeout, Silence, Stopped };

struct PumpResult {
    PumpEnd end = PumpEnd::Finished;
    std::uint64_t a_to_b = 0; // bytes
    std::uint64_t b_to_a = 0;
};

// Two connected, non-blocking stream sockets (TCP or Unix), and what must be sent to each first.
struct PumpSockets {
    net::UniqueFd a;
    net::UniqueFd b;
    std::string to_a = {};
    std::string to_b = {};
    // Set if the socket is already registered with the same Poller: Pumps takes it over.
    bool a_polled = false;
    bool b_polled = false;
    // The caller's number for connections that may have to end together (stop).
    std::uint32_t group = 0;
    // Where it counts; a is the client's side.
    TrafficShare traffic = {};
};

struct PumpSet;

// All the connections that a program pumps. TCP_NODELAY and keepalive are the caller's to set.
class Pumps {
  public:
    using Done = std::function<void(const PumpResult&)>;

    Pumps(Poller& poller, PumpOptions options = {});
    ~Pumps(); // closes all; `done` functions are not called
    Pumps(const Pumps&) = delete;
    Pumps& operator=(const Pumps&) = delete;

    // Takes the sockets. Calls `done` (may be empty) when both are closed, never from inside start().
    void start(PumpSockets sockets, Done done = {});

    std::size_t size() const noexcept; // connections now
    // Connections that have moved a byte within the last `within`, exact to about a second, but for those of
    // group `except`. Visits each.
    std::size_t busy(std::chrono::milliseconds within, std::uint32_t except) const noexcept;
    std::uint64_t bytes() const noexcept; // moved since the start, both ways
    // Ends the connections of a group with a reset; `done` is called with Stopped.
    void stop(std::uint32_t group);

  private:
    std::shared_ptr<PumpSet> shared_;
};

} // namespace p2prc::tunnel
