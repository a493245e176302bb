#include "net/network_changes.h"

#include "net/asio.h"
#include "net/fd.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace p2prc::net {

namespace asio = boost::asio;

struct NetworkChanges::State {
    explicit State(asio::any_io_executor executor) : socket(executor), timer(executor) {}
    asio::posix::stream_descriptor socket;
    asio::steady_timer timer;
};

NetworkChanges::NetworkChanges(std::shared_ptr<State> state) : state_(std::move(state)) {}
NetworkChanges::NetworkChanges(NetworkChanges&&) noexcept = default;
NetworkChanges& NetworkChanges::operator=(NetworkChanges&&) noexcept = default;
NetworkChanges::~NetworkChanges() {
    close();
}

void NetworkChanges::close() noexcept {
    if (!state_) return;
    boost::system::error_code ignored;
    state_->socket.close(ignored);
    state_->timer.cancel();
}

Result<NetworkChanges> NetworkChanges::open(asio::any_io_executor executor) {
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
    if (!fd) return std::unexpected(system_error("cannot open a netlink socket", errno));
    sockaddr_nl name{};
    name.nl_family = AF_NETLINK;
    name.nl_groups =
        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR | RTMGRP_IPV6_ROUTE;
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
        return std::unexpected(system_error("cannot listen for network changes", errno));
    auto state = std::make_shared<State>(executor);
    boost::system::error_code error;
    state->socket.assign(fd.get(), error);
    if (error) return std::unexpected(system_error("cannot listen for network changes", error.value()));
    fd.release();
    return NetworkChanges(std::move(state));
}

asio::awaitable<Result<void>> NetworkChanges::next() {
    const auto state = state_;
    const auto [waited] =
        co_await state->socket.async_wait(asio::posix::stream_descriptor::wait_read, as_result);
    if (waited) co_return fail(ErrorCode::Failed, "network changes: " + waited.message());
    state->timer.expires_after(std::chrono::milliseconds(100));
    const auto [slept] = co_await state->timer.async_wait(as_result);
    if (slept) co_return fail(ErrorCode::Failed, "network changes: " + slept.message());
    // It only matters that something changed, not what. ENOBUFS says that messages were lost, which means the
    // same.
    std::array<char, 16384> drop;
    while (::recv(state->socket.native_handle(), drop.data(), drop.size(), MSG_DONTWAIT) > 0 ||
           errno == ENOBUFS)
        errno = 0;
    co_return Result<void>();
}

} // namespace p2prc::net
