#include "edge/relay/joiner.h"

namespace p2prc::edge {

void Joiner::join(Connection client, net::UniqueFd far, bool far_polled, std::string unsent,
                  std::uint32_t group) {
    tunnel::PumpSockets sockets;
    sockets.a = std::move(client.socket);
    sockets.a_polled = client.polled;
    sockets.b = std::move(far);
    sockets.b_polled = far_polled;
    sockets.to_b = std::move(unsent);
    sockets.group = group;
    pumps_.start(std::move(sockets), [&counters = counters_](const tunnel::PumpResult& result) {
        switch (result.end) {
        case tunnel::PumpEnd::Reset:
        case tunnel::PumpEnd::Silence:
            ++counters.resets;
            break;
        case tunnel::PumpEnd::IdleTimeout:
        case tunnel::PumpEnd::HalfClosedTimeout:
            ++counters.idle_closed;
            break;
        case tunnel::PumpEnd::Finished:
        case tunnel::PumpEnd::Stopped:
            break;
        }
    });
}

void Joiner::refuse(Connection client, std::string_view message) {
    ++counters_.dial_failed;
    lingering_close_.close(std::move(client), message);
}

} // namespace p2prc::edge
