#include "tunnel/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace p2prc::tunnel {
namespace {

void set(int socket, int level, int name, int value) noexcept {
    ::setsockopt(socket, level, name, &value, sizeof value);
}

void set_keepalive(int socket, int idle, int interval, int probes) noexcept {
    set(socket, IPPROTO_TCP, TCP_KEEPIDLE, idle);
    set(socket, IPPROTO_TCP, TCP_KEEPINTVL, interval);
    set(socket, IPPROTO_TCP, TCP_KEEPCNT, probes);
}

} // namespace

void set_flow_options(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_accepted_flow_options(socket);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void set_accepted_flow_options(int socket) noexcept {
    set_keepalive(socket, 15, 5, 3);
}

void set_relay_options(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set_keepalive(socket, 60, 15, 6);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void set_acknowledge_with_data(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_QUICKACK, 0);
}

void set_local_options(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
}

void set_reset_on_close(int socket) noexcept {
    const linger abort{1, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
}

} // namespace p2prc::tunnel
