// What the kernel knows of a TCP connection's far end: whether it has taken what was sent, whether it
// answers.
#pragma once

#include <chrono>

namespace p2prc::tunnel {

// A reset waits this long for bytes that were relayed before it, which the kernel would throw away.
inline constexpr std::chrono::seconds reset_timeout{5};

// Whether the kernel holds bytes that the far end has not acknowledged (tcp(7), unix(7)). A FIN that was sent
// counts as one.
bool output_queued(int socket, bool fin_sent) noexcept;

// Whether the far end has been asked for an acknowledgement again and again, by retransmissions or by probes
// of its closed window, and has sent none for `timeout`. A peer that does not read still answers each probe:
// it is slow, not silent. If nothing is queued, the kernel asks nothing; then keepalive detects a dead peer.
bool far_end_is_silent(int socket, std::chrono::milliseconds timeout) noexcept;

} // namespace p2prc::tunnel
