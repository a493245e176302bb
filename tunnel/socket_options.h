// What every flow connection's socket is set to, at both ends.
#pragma once

namespace p2prc::tunnel {

// No delay; keepalive after 15 s without a word, and an end after three probes, 5 s apart, that nobody
// answered. The keepalive also keeps the home router's NAT binding. Errors are ignored: these are
// refinements, and a dead socket shows itself.
//
// Not TCP_USER_TIMEOUT: Linux counts the time in which the peer's window is closed, too, although the peer
// acknowledges every probe of it (tcp_probe_timer in net/ipv4/tcp_timer.c). It would cut a download that is
// paused. Keepalive probes are not sent while data is queued; there far_end_is_silent() tells the dead from
// the slow.
void set_flow_options(int socket) noexcept;
// The same for one that was accepted: its listener has handed down what clients have, too.
void set_accepted_flow_options(int socket) noexcept;
// For a connection to where a file of routes leads: no delay, and keepalive at a slower pace.
void set_relay_options(int socket) noexcept;
// Acknowledgements wait a little for data to go with. Set before connect(2), the first data completes the
// handshake: a packet less each time, where what was said is answered at once. Accepted sockets inherit it.
void set_acknowledge_with_data(int socket) noexcept;
// No delay: for sockets on the same machine, whose other end cannot go without a word.
void set_local_options(int socket) noexcept;
// Closing will send a reset instead of a FIN: the other side's stream ended in an error.
void set_reset_on_close(int socket) noexcept;

} // namespace p2prc::tunnel
