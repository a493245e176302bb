// The socket options of flow connections, at both ends.
#pragma once

namespace p2prc::tunnel {

// TCP_NODELAY; keepalive after 15 s of silence, and the end after three unanswered probes, 5 s apart. The
// keepalive also keeps the home router's NAT binding. Errors are ignored: these are refinements, and a dead
// socket will be noticed anyway.
//
// Not TCP_USER_TIMEOUT: Linux counts the time in which the peer's window is closed, too, although the peer
// acknowledges every probe of it (tcp_probe_timer in net/ipv4/tcp_timer.c). It would cut a download that is
// paused. Keepalive probes are not sent while data is queued; there far_end_is_silent() tells the dead from
// the slow.
void set_flow_options(int socket) noexcept;
// The same for an accepted socket, which has inherited the listener's options for clients.
void set_accepted_flow_options(int socket) noexcept;
// For a connection to a target from a file of routes: TCP_NODELAY, and a slower keepalive.
void set_relay_options(int socket) noexcept;
// Delays acknowledgements a little so that data can carry them. Set before connect(2), the first data also
// completes the handshake: one packet less whenever data is answered at once. Accepted sockets inherit it.
void set_acknowledge_with_data(int socket) noexcept;
// TCP_NODELAY only: for connections within this machine, whose peer cannot vanish silently.
void set_local_options(int socket) noexcept;
// Closing will send a reset instead of a FIN: the other side's stream ended in an error.
void set_reset_on_close(int socket) noexcept;

} // namespace p2prc::tunnel
