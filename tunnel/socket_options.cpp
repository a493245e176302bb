#include "tunnel/socket_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace p2prc::tunnel {
namespace {

void set(int socket, int level, int name, int value) noexcept {
    ::setsockopt(socket, level, name, &value, sizeof value);
}

} // namespace

void set_flow_options(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set(socket, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set(socket, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void set_accepted_flow_options(int socket) noexcept {
    set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, 30000);
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
