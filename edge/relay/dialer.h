// Dials a route's target and joins the two connections.
#pragma once

#include "edge/listen/connection.h"
#include "edge/relay/joiner.h"
#include "edge/relay/target.h"
#include "tunnel/poller.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace p2prc::edge {

class Dialer {
  public:
    // All must outlive it.
    Dialer(tunnel::Poller& poller, Joiner& joiner, std::chrono::milliseconds timeout);
    ~Dialer();
    Dialer(const Dialer&) = delete;
    Dialer& operator=(const Dialer&) = delete;

    // Sends `prefix`, then what `connection` has sent so far, and relays from there on. If the target does
    // not answer, `connection` gets `message` and is closed. `group` is that of Joiner.
    void relay(const Target& target, Connection connection, std::string_view prefix, std::string_view message,
               std::uint32_t group = 0);

    std::size_t dialling() const noexcept;

    struct State; // of the implementation

  private:
    std::unique_ptr<State> state_;
};

} // namespace p2prc::edge
