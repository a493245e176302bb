// Joins a client with the connection that was opened for it. The only place that starts pumps and counts how
// they end.
#pragma once

#include "edge/listen/connection.h"
#include "edge/listen/counters.h"
#include "edge/listen/lingering_close.h"
#include "tunnel/pumps.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge {

// The group of control links. They connect again by themselves, and their pings never end: the edge does not
// wait for them when it stops.
inline constexpr std::uint32_t control_links = UINT32_MAX;

class Joiner {
  public:
    // All must outlive it.
    Joiner(tunnel::Pumps& pumps, LingeringClose& lingering_close, Counters& counters)
        : pumps_(pumps)
        , lingering_close_(lingering_close)
        , counters_(counters) {}

    // `unsent` is sent to `far` first; `group` is that of Pumps.
    void join(Connection client, net::UniqueFd far, bool far_polled, std::string unsent,
              std::uint32_t group = 0);
    // Nothing could be opened: the client gets `message` and is closed.
    void refuse(Connection client, std::string_view message);
    // The client left while its connection was being opened.
    void left() noexcept { ++counters_.first_closed; }

  private:
    tunnel::Pumps& pumps_;
    LingeringClose& lingering_close_;
    Counters& counters_;
};

} // namespace p2prc::edge
