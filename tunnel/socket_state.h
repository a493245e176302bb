// What the kernel knows of a TCP connection's far end: whether it has taken what was sent, whether it
// answers.
#pragma once

#include <chrono>

namespace p2prc::tunnel {

// Whether the kernel holds bytes that the far end has not acknowledged (tcp(7), unix(7)). A FIN that was sent
// counts as one.
bool output_queued(int socket, bool fin_sent) noexcept;

// Whether the far end has been asked for an acknowledgement again and again, by retransmissions or by probes
// of its closed window, and has given none for `patience`. An end that does not read answers each probe: it
// is slow, not silent. Nothing is asked where nothing is queued; there keepalive finds out.
bool far_end_is_silent(int socket, std::chrono::milliseconds patience) noexcept;

} // namespace p2prc::tunnel
