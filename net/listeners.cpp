#include "net/listeners.h"

#include "net/fd.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <utility>

namespace p2prc::net {

namespace {

using Bytes = std::span<const std::byte>;

std::unexpected<Error> malformed() {
    return fail(ErrorCode::Failed, "cannot parse the kernel's list of listening sockets");
}

// The value at the beginning of `bytes`, which need not be aligned.
template <class T>
    requires std::is_trivially_copyable_v<T>
bool take(Bytes bytes, T& value) noexcept {
    if (bytes.size() < sizeof value) return false;
    std::memcpy(&value, bytes.data(), sizeof value);
    return true;
}

// The rest of `bytes` after an element of `size`, which is padded to four bytes (NLMSG_ALIGNTO, NLA_ALIGNTO).
Bytes after(Bytes bytes, std::size_t size) noexcept {
    return bytes.subspan(std::min(bytes.size(), (size + 3) & ~std::size_t{3}));
}

bool read_attributes(Bytes bytes, Listener& listener) noexcept {
    while (!bytes.empty()) {
        nlattr head{};
        if (!take(bytes, head) || head.nla_len < sizeof head || head.nla_len > bytes.size()) return false;
        const Bytes value = bytes.subspan(sizeof head, head.nla_len - sizeof head);
        std::uint8_t flag = 0;
        switch (head.nla_type & NLA_TYPE_MASK) {
        case INET_DIAG_CGROUP_ID:
            if (!take(value, listener.cgroup)) return false;
            break;
        case INET_DIAG_SKV6ONLY:
            if (!take(value, flag)) return false;
            listener.v6_only = flag != 0;
            break;
        default:
            break;
        }
        bytes = after(bytes, head.nla_len);
    }
    return true;
}

bool read_socket(Bytes bytes, Listener& listener, std::uint8_t& state) {
    inet_diag_msg message{};
    if (!take(bytes, message)) return false;
    std::array<std::uint8_t, 16> address{};
    std::memcpy(address.data(), message.id.idiag_src, address.size());
    if (message.idiag_family == AF_INET6)
        listener.address = Address::v6(address);
    else if (message.idiag_family == AF_INET)
        listener.address = Address::v4({address[0], address[1], address[2], address[3]});
    else
        return true;
    state = message.idiag_state;
    listener.port = ntohs(message.id.idiag_sport);
    listener.uid = message.idiag_uid;
    listener.inode = message.idiag_inode;
    return read_attributes(after(bytes, sizeof message), listener);
}

struct Question {
    nlmsghdr head;
    inet_diag_req_v2 what;
};

Question question(int family, unsigned flags, std::uint32_t states) {
    Question request{};
    request.head.nlmsg_len = sizeof request;
    request.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request.head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    request.what.sdiag_family = static_cast<std::uint8_t>(family);
    request.what.sdiag_protocol = IPPROTO_TCP;
    request.what.idiag_states = states;
    return request;
}

static_assert(listening_states == 1U << TCP_LISTEN);

// The kernel leaves out sockets of other ports (inet_diag_dump_icsk()); 0: of none.
Result<void> ask(int socket, std::uint8_t family, std::uint32_t states, std::uint16_t port) {
    Question request = question(family, NLM_F_DUMP, states);
    request.what.id.idiag_sport = htons(port);
    if (::send(socket, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
        return std::unexpected(system_error("cannot list the listening ports", errno));
    return {};
}

Result<void> dump(int socket, std::uint8_t family, std::vector<Listener>& out,
                  std::uint32_t states = listening_states, std::uint16_t port = 0) {
    if (auto asked = ask(socket, family, states, port); !asked) return asked;
    // netlink_dump() in the kernel never makes a datagram larger than 32 KiB.
    std::vector<std::byte> buffer(std::size_t{32} << 10);
    while (true) {
        const auto size = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT | MSG_TRUNC);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return std::unexpected(system_error("cannot read the list of listening ports", errno));
        if (static_cast<std::size_t>(size) > buffer.size()) return malformed();
        const auto complete =
            read_listeners(Bytes(buffer).first(static_cast<std::size_t>(size)), out, states);
        if (!complete) return std::unexpected(complete.error());
        if (*complete) return {};
    }
}

} // namespace

bool Listener::accepts(const Address& target, std::uint16_t target_port) const noexcept {
    if (port != target_port) return false;
    if (address == target) return true;
    if (address.is_v4()) return target.is_v4() && address == Address();
    return address == Address::v6({}) && (target.is_v6() || !v6_only);
}

Result<bool> read_listeners(Bytes datagram, std::vector<Listener>& out, std::uint32_t states) {
    while (!datagram.empty()) {
        nlmsghdr head{};
        if (!take(datagram, head) || head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size())
            return malformed();
        const Bytes body = datagram.subspan(sizeof head, head.nlmsg_len - sizeof head);
        if (head.nlmsg_type == NLMSG_DONE) return true;
        if (head.nlmsg_type == NLMSG_ERROR) {
            int error = 0;
            if (!take(body, error)) return malformed();
            return std::unexpected(system_error("cannot list the listening ports", -error));
        }
        if (head.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
            Listener listener;
            std::uint8_t state = 0;
            if (!read_socket(body, listener, state)) return malformed();
            if (state < 32 && (states >> state & 1U) != 0) out.push_back(listener);
        }
        datagram = after(datagram, head.nlmsg_len);
    }
    return false;
}

Result<std::vector<Listener>> tcp_listeners() {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) return std::unexpected(system_error("cannot open a sock_diag socket", errno));
    std::vector<Listener> found;
    for (const std::uint8_t family : {AF_INET, AF_INET6})
        if (auto dumped = dump(socket.get(), family, found); !dumped) return std::unexpected(dumped.error());
    return found;
}

Result<bool> has_connections(std::uint16_t port) {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) return std::unexpected(system_error("cannot open a sock_diag socket", errno));
    std::vector<Listener> found;
    constexpr std::uint32_t states = 1U << TCP_ESTABLISHED | 1U << TCP_CLOSE_WAIT;
    for (const std::uint8_t family : {AF_INET, AF_INET6})
        if (auto dumped = dump(socket.get(), family, found, states, port); !dumped)
            return std::unexpected(dumped.error());
    return std::ranges::any_of(found, [port](const Listener& each) { return each.port == port; });
}

namespace {

// The one socket that is bound to `own` and has `other` as its peer, or else the listener that a connection
// between the two would reach.
Result<std::pair<Listener, std::uint8_t>> find_socket(int socket, const Endpoint& own,
                                                      const Endpoint& other) {
    Question request = question(own.address.is_v4() ? AF_INET : AF_INET6, 0, ~0U);
    request.what.id.idiag_sport = htons(own.port);
    request.what.id.idiag_dport = htons(other.port);
    std::memcpy(request.what.id.idiag_src, own.address.bytes().data(), own.address.bytes().size());
    std::memcpy(request.what.id.idiag_dst, other.address.bytes().data(), other.address.bytes().size());
    request.what.id.idiag_cookie[0] = request.what.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    if (::send(socket, &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
        return std::unexpected(system_error("cannot ask for the other end of a connection", errno));
    std::array<std::byte, 4096> buffer;
    const auto size = ::recv(socket, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0)
        return std::unexpected(system_error("cannot read about the other end of a connection", errno));
    const Bytes datagram = Bytes(buffer).first(static_cast<std::size_t>(size));
    nlmsghdr head{};
    if (!take(datagram, head) || head.nlmsg_len < sizeof head || head.nlmsg_len > datagram.size())
        return malformed();
    const Bytes body = datagram.subspan(sizeof head, head.nlmsg_len - sizeof head);
    std::pair<Listener, std::uint8_t> found;
    if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return fail(ErrorCode::NotFound, "the connection has no other end on this machine");
    if (!read_socket(body, found.first, found.second)) return malformed();
    return found;
}

} // namespace

Result<Listener> peer_socket(int connection) {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    if (!socket) return std::unexpected(system_error("cannot open a sock_diag socket", errno));
    const Endpoint own = peer_endpoint(connection);
    const Endpoint other = local_endpoint(connection);
    auto found = find_socket(socket.get(), own, other);
    // A handshake under way (also with TCP_DEFER_ACCEPT) has a request, which tells no group: port 0, at
    // which nobody is, finds its listener.
    if (found && found->second == TCP_SYN_RECV) found = find_socket(socket.get(), own, {other.address, 0});
    if (!found) return std::unexpected(found.error());
    return found->first;
}

Result<std::uint64_t> cgroup_id(const std::filesystem::path& path) {
    struct stat status{};
    static_assert(sizeof status.st_ino == 8); // _FILE_OFFSET_BITS, where that is not so by itself
    if (::stat(path.c_str(), &status) != 0)
        return std::unexpected(system_error("cannot look at " + path.string(), errno));
    return std::uint64_t{status.st_ino};
}

std::filesystem::path cgroup_path(std::uint64_t id, const std::filesystem::path& root) {
    namespace fs = std::filesystem;
    std::error_code error;
    for (fs::recursive_directory_iterator entry(root, fs::directory_options::skip_permission_denied, error),
         end;
         !error && entry != end; entry.increment(error)) {
        if (!entry->is_directory(error) || error) {
            error.clear();
            continue;
        }
        if (const auto found = cgroup_id(entry->path()); found && *found == id) return entry->path();
    }
    return {};
}

} // namespace p2prc::net
