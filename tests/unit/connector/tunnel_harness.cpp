#include "tunnel_harness.h"

#include "net/asio.h"
#include "tests/unit/support/uninterrupted.h"

#include <arpa/inet.h>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <csignal>
#include <functional>

namespace p2prc::test {
namespace asio = boost::asio;
using asio::ip::tcp;
namespace {

void bound_time(int fd) {
    const timeval limit{10, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

tcp::endpoint any_loopback() {
    return {asio::ip::address_v4::loopback(), 0};
}

net::Endpoint endpoint_of(std::uint16_t port) {
    return {net::Address::v4({127, 0, 0, 1}), port};
}

} // namespace

Peer Peer::connect(std::uint16_t port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bound_time(fd);
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_port = htons(port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0) << strerror(errno);
    return Peer(fd);
}

void Peer::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t size =
            uninterrupted([&] { return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL); });
        if (size <= 0) {
            ADD_FAILURE() << "send: " << strerror(errno);
            return;
        }
        bytes.remove_prefix(static_cast<std::size_t>(size));
    }
}

std::string Peer::receive(std::size_t size) {
    std::string out(size, '\0');
    std::size_t have = 0;
    while (have < size) {
        const ssize_t got =
            uninterrupted([&] { return ::recv(fd_.get(), out.data() + have, size - have, 0); });
        if (got <= 0) break;
        have += static_cast<std::size_t>(got);
    }
    out.resize(have);
    return out;
}

std::string Peer::receive_all() {
    std::string out;
    char buffer[65536];
    while (true) {
        const ssize_t got = uninterrupted([&] { return ::recv(fd_.get(), buffer, sizeof buffer, 0); });
        if (got < 0) ADD_FAILURE() << "receive: " << strerror(errno);
        if (got <= 0) return out;
        out.append(buffer, static_cast<std::size_t>(got));
    }
}

bool Peer::ended_by_reset() {
    char buffer[65536];
    ssize_t got = 0;
    while ((got = uninterrupted([&] { return ::recv(fd_.get(), buffer, sizeof buffer, 0); })) > 0) {
    }
    return got < 0 && errno == ECONNRESET;
}

void Peer::finish() {
    ::shutdown(fd_.get(), SHUT_WR);
}

Listener::Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
    EXPECT_EQ(listen(fd_.get(), 128), 0);
    socklen_t size = sizeof name;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&name), &size);
    port_ = ntohs(name.sin_port);
}

Peer Listener::accept() {
    pollfd wait{fd_.get(), POLLIN, 0};
    EXPECT_EQ(uninterrupted([&] { return poll(&wait, 1, 10000); }), 1) << "nobody dialled";
    const int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC | (wait.revents ? 0 : SOCK_NONBLOCK));
    bound_time(fd);
    return Peer(fd);
}

bool Listener::nobody_came(int milliseconds) {
    pollfd wait{fd_.get(), POLLIN, 0};
    return uninterrupted([&] { return poll(&wait, 1, milliseconds); }) == 0;
}

TunnelHarness::TunnelHarness()
    : edge_identity_(*net::Identity::generate())
    , home_identity_(*net::Identity::generate())
    , tunnels_port_(io_, any_loopback())
    , public_(io_, any_loopback()) {
    // OpenSSL writes to sockets without MSG_NOSIGNAL.
    std::signal(SIGPIPE, SIG_IGN);
}

TunnelHarness::~TunnelHarness() {
    if (thread_.joinable()) {
        on_loop([this] {
            connector_.reset();
            tunnels_.reset();
            pumps_.reset();
            return 0;
        });
        io_.stop();
        thread_.join();
    }
}

void TunnelHarness::run(bool with_connector) {
    poller_ = std::make_unique<tunnel::Poller>(io_.get_executor());
    pumps_ = std::make_unique<tunnel::Pumps>(*poller_);
    auto tunnels = edge::Tunnels::create(*poller_, edge_identity_, edge_options);
    ASSERT_TRUE(tunnels) << tunnels.error().message;
    tunnels_ = std::move(*tunnels);
    tunnels_->allow({home_identity_.fingerprint()});
    asio::co_spawn(io_, serve_tunnels(), asio::detached);
    asio::co_spawn(io_, serve_clients(), asio::detached);
    table.edges = {{endpoint_of(edge_port()), edge_identity_.fingerprint()}};
    if (with_connector) start_connector();
    thread_ = std::thread([this] {
        const auto keep = asio::make_work_guard(io_);
        io_.run();
    });
}

void TunnelHarness::start_connector() {
    connector_ = std::make_unique<connector::Connector>(*poller_, home_identity_,
                                                        connector::Connector::LinkChanged(), link_options);
    for (const auto& [domain, context] : certificates)
        connector_->set_certificate(domain, context);
    connector_->set_mappings(table);
}

bool TunnelHarness::eventually(std::function<bool()> condition) {
    for (int i = 0; i < 1000; ++i) {
        if (on_loop(condition)) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

void TunnelHarness::carry(std::uint32_t mapping_id, TlsMode tls) {
    on_loop([&] {
        mapping_id_ = mapping_id;
        tls_ = tls;
        return 0;
    });
}

std::optional<Error> TunnelHarness::last_error() {
    return on_loop([this] { return last_error_; });
}

void TunnelHarness::last_client_leaves() {
    on_loop([this] {
        tunnels_->cancel(last_ticket_);
        return 0;
    });
}

asio::awaitable<void> TunnelHarness::serve_tunnels() {
    while (true) {
        auto [error, socket] = co_await tunnels_port_.async_accept(net::as_result);
        if (error) co_return;
        asio::co_spawn(io_, sort(this, std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> TunnelHarness::sort(TunnelHarness* self, tcp::socket socket) {
    Bytes first(4096);
    std::size_t have = 0;
    // A preface is waited for as the edge's doors do.
    do {
        const auto space = asio::buffer(first) + have;
        const auto [error, size] = co_await socket.async_read_some(space, net::as_result);
        if (error || !self->tunnels_) co_return;
        have += size;
    } while (first[0] == 'P' && have < tunnel::preface_size);
    first.resize(have);
    socket.non_blocking(true);
    net::UniqueFd fd(socket.release());
    const auto from = net::peer_endpoint(fd.get()).address;
    if (first[0] == 'P')
        self->tunnels_->accept_flow(std::move(fd), first);
    else
        self->tunnels_->accept_session(std::move(fd), from, std::move(first));
}

asio::awaitable<void> TunnelHarness::serve_clients() {
    while (true) {
        auto [error, socket] = co_await public_.async_accept(net::as_result);
        if (error) co_return;
        asio::co_spawn(io_, carry_one(this, std::move(socket)), asio::detached);
    }
}

asio::awaitable<void> TunnelHarness::carry_one(TunnelHarness* self, tcp::socket socket) {
    std::string first(65536, '\0');
    const auto space = asio::buffer(first);
    const auto [error, size] = co_await socket.async_read_some(space, net::as_result);
    if (error || !self->tunnels_) co_return;
    first.resize(size);
    edge::FlowRequest request;
    request.connector_key = self->home_identity_.fingerprint();
    request.mapping_id = self->mapping_id_;
    request.tls = self->tls_;
    request.client = net::peer_endpoint(socket.native_handle());
    request.server = net::local_endpoint(socket.native_handle());
    request.server_name = "app.home.example";
    request.first_bytes = std::move(first);
    socket.non_blocking(true);
    const auto client = std::make_shared<net::UniqueFd>(socket.release());
    self->last_ticket_ =
        self->tunnels_->open(std::move(request), [self, client](Result<edge::ReadyFlow> flow) {
            if (!flow) {
                self->last_error_ = flow.error();
                return client->reset();
            }
            tunnel::PumpSockets sockets;
            sockets.a = std::move(*client);
            sockets.b = std::move(flow->socket);
            sockets.to_b = std::move(flow->unsent);
            sockets.b_polled = true;
            self->pumps_->start(std::move(sockets));
        });
}

} // namespace p2prc::test
