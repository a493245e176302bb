// Joins a client with the far end that was opened for it: the one place that starts pumps and counts their
// ends.
#pragma once

#include "edge/listen/connection.h"
#include "edge/listen/counters.h"
#include "edge/listen/lingering_close.h"
#include "tunnel/pumps.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge {

class Joiner {
  public:
    // All must outlive it.
    Joiner(tunnel::Pumps& pumps, LingeringClose& lingering_close, Counters& counters)
        : pumps_(pumps)
        , lingering_close_(lingering_close)
        , counters_(counters) {}

    // `unsent` goes to the far end first; `group` is that of Pumps.
    void join(Connection client, net::UniqueFd far, bool far_polled, std::string unsent,
              std::uint32_t group = 0);
    // There is no far end: the client is told `words` and closed.
    void refuse(Connection client, std::string_view message);
    // The client left while its far end was being opened.
    void left() noexcept { ++counters_.first_closed; }

  private:
    tunnel::Pumps& pumps_;
    LingeringClose& lingering_close_;
    Counters& counters_;
};

} // namespace p2prc::edge
