#include "connector/local_dial.h"

#include "net/listeners.h"
#include "net/sockaddr.h"
#include "tunnel/socket_options.h"

#include <sys/socket.h>

#include <cerrno>

namespace p2prc::connector {

bool is_its_own(int socket, const std::set<std::uint64_t>& groups) {
    if (groups.empty()) return true;
    const auto peer = net::peer_socket(socket);
    return peer && groups.contains(peer->cgroup);
}

net::UniqueFd dial_at_once(const net::Endpoint& target, const std::set<std::uint64_t>& groups) {
    sockaddr_storage address{};
    const socklen_t size = net::to_sockaddr(target, address);
    net::UniqueFd socket(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return {};
    tunnel::set_local_options(socket.get());
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    int done = ::connect(socket.get(), name, size);
    // Over loopback, the handshake is complete when the call returns; asking again shows it.
    if (done != 0 && errno == EINPROGRESS) done = ::connect(socket.get(), name, size);
    if (done != 0) return {};
    if (is_its_own(socket.get(), groups)) return socket;
    tunnel::set_reset_on_close(socket.get());
    return {};
}

} // namespace p2prc::connector
