#include "net/fd.h"
#include "net/listeners.h"
#include "temporary_directory.h"

#include <arpa/inet.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <fstream>

namespace p2prc::net {
namespace {

template <class T>
void append(std::vector<std::byte>& out, const T& value) {
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), begin, begin + sizeof value);
    out.resize((out.size() + 3) & ~std::size_t{3});
}

template <class T>
void attribute(std::vector<std::byte>& out, std::uint16_t type, const T& value) {
    append(out, nlattr{static_cast<std::uint16_t>(sizeof(nlattr) + sizeof value), type});
    append(out, value);
}

std::vector<std::byte> message(std::uint16_t type, const std::vector<std::byte>& body) {
    std::vector<std::byte> out;
    nlmsghdr head{};
    head.nlmsg_len = static_cast<std::uint32_t>(sizeof head + body.size());
    head.nlmsg_type = type;
    append(out, head);
    out.insert(out.end(), body.begin(), body.end());
    return out;
}

std::vector<std::byte> socket_at(std::uint8_t family, std::uint16_t port, std::uint64_t cgroup,
                                 bool v6_only) {
    inet_diag_msg what{};
    what.idiag_family = family;
    what.idiag_state = TCP_LISTEN;
    what.idiag_uid = 1000;
    what.idiag_inode = 77;
    what.id.idiag_sport = htons(port);
    std::vector<std::byte> body;
    append(body, what);
    attribute(body, INET_DIAG_SKV6ONLY, static_cast<std::uint8_t>(v6_only));
    attribute(body, INET_DIAG_CGROUP_ID, cgroup);
    return message(SOCK_DIAG_BY_FAMILY, body);
}

UniqueFd listen_at(const char* address, std::uint16_t& port) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in name{};
    name.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &name.sin_addr);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    EXPECT_EQ(::listen(fd.get(), 1), 0);
    port = local_endpoint(fd.get()).port;
    return fd;
}

TEST(Listeners, ReadsFamilyPortOwnerAndControlGroup) {
    auto datagram = socket_at(AF_INET6, 8080, 0x1'0000'0007, true);
    const auto second = socket_at(AF_INET, 53, 9, false);
    datagram.insert(datagram.end(), second.begin(), second.end());
    std::vector<Listener> found;
    EXPECT_EQ(read_listeners(datagram, found), Result<bool>(false));
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0], (Listener{Address::v6({}), 8080, 1000, 0x1'0000'0007, true, 77}));
    EXPECT_EQ(found[1], (Listener{Address(), 53, 1000, 9, false, 77}));
    EXPECT_EQ(read_listeners(message(NLMSG_DONE, {}), found), Result<bool>(true));
}

TEST(Listeners, RefusesEveryDatagramThatIsCutOff) {
    const auto whole = socket_at(AF_INET6, 8080, 7, true);
    for (std::size_t size = 1; size < whole.size(); ++size) {
        std::vector<Listener> found;
        EXPECT_FALSE(read_listeners(std::span(whole).first(size), found)) << size;
    }
}

TEST(Listeners, RefusesLengthsThatLeadOutOfTheMessage) {
    for (std::size_t at = 0; at < socket_at(AF_INET6, 8080, 7, true).size(); ++at)
        for (const int value : {0, 1, 3, 0x7f, 0xff}) {
            auto bytes = socket_at(AF_INET6, 8080, 7, true);
            bytes[at] = static_cast<std::byte>(value);
            std::vector<Listener> found;
            (void)read_listeners(bytes, found);
            EXPECT_LE(found.size(), 1U);
        }
}

TEST(Listeners, PassesOnTheKernelsRefusal) {
    std::vector<std::byte> body;
    append(body, nlmsgerr{-ENOENT, {}});
    std::vector<Listener> found;
    const auto read = read_listeners(message(NLMSG_ERROR, body), found);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::NotFound);
}

TEST(Listeners, FindsASocketOfItsOwnAndNoneAfterItHasClosed) {
    std::uint16_t port = 0;
    auto socket = listen_at("127.0.0.1", port);
    const auto at_port = [&] {
        const auto all = tcp_listeners();
        EXPECT_TRUE(all) << all.error().message;
        return std::ranges::count_if(all.value_or(std::vector<Listener>()), [&](const Listener& one) {
            return one.port == port && one.address.is_loopback() && one.uid == ::getuid();
        });
    };
    EXPECT_EQ(at_port(), 1);
    socket.reset();
    EXPECT_EQ(at_port(), 0);
}

TEST(Listeners, KnowsWhetherAPortHasConnections) {
    boost::asio::io_context loop;
    using boost::asio::ip::tcp;
    tcp::acceptor acceptor(loop, {boost::asio::ip::address_v4::loopback(), 0});
    const auto port = acceptor.local_endpoint().port();
    EXPECT_EQ(has_connections(port), false) << "one that listens has none";
    tcp::socket visitor(loop);
    visitor.connect(acceptor.local_endpoint());
    EXPECT_EQ(has_connections(port), true) << "accepted or not";
    auto served = acceptor.accept();
    visitor.shutdown(tcp::socket::shutdown_send);
    EXPECT_EQ(has_connections(port), true) << "it may still be answered";
    served.close();
    EXPECT_EQ(has_connections(port), false);
}

TEST(Listeners, KnowsTheControlGroupOfASocket) {
    std::ifstream groups("/proc/self/cgroup");
    std::string line;
    while (std::getline(groups, line) && !line.starts_with("0::")) {
    }
    if (!line.starts_with("0::")) GTEST_SKIP() << "no unified hierarchy";
    auto own = cgroup_id("/sys/fs/cgroup" + line.substr(3));
    if (!own) own = cgroup_id("/sys/fs/cgroup/unified" + line.substr(3));
    if (!own) GTEST_SKIP() << "the unified hierarchy is not mounted where it usually is";
    std::uint16_t port = 0;
    const auto socket = listen_at("127.0.0.1", port);
    const auto all = tcp_listeners();
    ASSERT_TRUE(all);
    const auto found = std::ranges::find(*all, port, &Listener::port);
    ASSERT_NE(found, all->end());
    EXPECT_EQ(found->cgroup, *own);
}

TEST(Listeners, AcceptsWhatItsAddressCovers) {
    const auto loopback = Address::parse("127.0.0.1").value();
    const auto loopback6 = Address::parse("::1").value();
    const Listener all4{.port = 80};
    EXPECT_TRUE(all4.accepts(loopback, 80));
    EXPECT_FALSE(all4.accepts(loopback, 81));
    EXPECT_FALSE(all4.accepts(loopback6, 80));
    Listener all6{.address = Address::v6({}), .port = 80};
    EXPECT_TRUE(all6.accepts(loopback, 80));
    EXPECT_TRUE(all6.accepts(loopback6, 80));
    all6.v6_only = true;
    EXPECT_FALSE(all6.accepts(loopback, 80));
    const Listener one{.address = loopback6, .port = 80};
    EXPECT_TRUE(one.accepts(loopback6, 80));
    EXPECT_FALSE(one.accepts(loopback, 80));
}

TEST(Listeners, FindsAControlGroupByItsId) {
    const TemporaryDirectory root;
    std::filesystem::create_directories(root.path() / "a.slice/b.service");
    const auto id = cgroup_id(root.path() / "a.slice/b.service");
    ASSERT_TRUE(id);
    EXPECT_EQ(cgroup_path(*id, root.path()), root.path() / "a.slice/b.service");
    EXPECT_EQ(cgroup_path(0, root.path()), "");
    EXPECT_EQ(cgroup_id(root.path() / "none").error().code, ErrorCode::NotFound);
}

} // namespace
} // namespace p2prc::net
