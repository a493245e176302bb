// What every flow connection's socket is set to, at both ends.
#pragma once

namespace p2prc::tunnel {

// No delay; keepalive every 15 s; what is not acknowledged, data or keepalive, is given up after 30 s
// (tcp(7)). The keepalive also keeps the home router's NAT binding. Errors are ignored: these are
// refinements, and a dead socket shows itself.
void set_flow_options(int socket) noexcept;
// The same for one that was accepted: its listener has handed down the rest.
void set_accepted_flow_options(int socket) noexcept;
// Acknowledgements wait a little for data to go with. Set before connect(2), the first data completes the
// handshake: a packet less each time, where what was said is answered at once. Accepted sockets inherit it.
void set_acknowledge_with_data(int socket) noexcept;
// No delay: for sockets on the same machine, whose other end cannot go without a word.
void set_local_options(int socket) noexcept;
// Closing will send a reset instead of a FIN: the other side's stream ended in an error.
void set_reset_on_close(int socket) noexcept;

} // namespace p2prc::tunnel
