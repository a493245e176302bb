// Whom the edge waits for when it stops: a client whose home is slow, and no control link.
#include "edge/edge.h"
#include "edge/listen/listener.h"
#include "net/identity.h"
#include "tests/unit/edge/hello_builder.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/eventually.h"

#include <arpa/inet.h>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <memory>

using namespace p2prc;
using namespace p2prc::edge;
using namespace std::chrono_literals;
namespace build = p2prc::edge::testing;

namespace {

class DrainTest : public ::testing::Test {
  protected:
    explicit DrainTest(Config config = made()) : edge(io.get_executor(), std::move(config)) {
        std::vector<net::PassedSocket> passed(1);
        passed[0].fd = std::move(*open_listener({net::Address::v4({127, 0, 0, 1}), 0}));
        passed[0].name = "https";
        port = net::local_endpoint(passed[0].fd.get()).port;
        EXPECT_TRUE(edge.listen(std::move(passed)));
    }
    static Config made() {
        Config made;
        made.routes_file = "none"; // nothing is kept on disk
        made.drain = 1h;
        return made;
    }
    void say(const std::string& hello) {
        client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
        EXPECT_EQ(send(client.get(), hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
    }

    boost::asio::io_context io{1};
    Edge edge;
    std::uint16_t port = 0;
    net::UniqueFd client;
};

class WaitingClientTest : public DrainTest {
  protected:
    WaitingClientTest() {
        EXPECT_TRUE(edge.open_tunnels(*net::Identity::generate()));
        RouteTable table;
        Route route;
        route.domain = "app.home.example";
        route.node_key = std::string(64, 'a'); // allowed, and away
        route.mapping_id = 1;
        table.routes = {route};
        table.connector_keys = {route.node_key};
        EXPECT_TRUE(edge.apply(table).empty());
        say(build::hello("app.home.example"));
        EXPECT_TRUE(test::eventually(io, [this] { return edge.status()["dialling"] == 1; }));
    }
};

TEST_F(WaitingClientTest, OneThatLeavesIsNoticed) {
    client.reset();
    EXPECT_TRUE(test::eventually(io, [this] { return edge.status()["dialling"] == 0; }));
    const auto status = edge.status();
    EXPECT_EQ(status["first_closed"], 1);
    EXPECT_EQ(status["dial_failed"], 0);
    EXPECT_EQ(status["tunnel"]["waiting"], 0);
}

TEST_F(WaitingClientTest, AnEdgeThatStopsWaitsForIt) {
    bool drained = false;
    edge.drain([&] { drained = true; });
    EXPECT_FALSE(drained) << "nobody is there but who waits for a home";
    client.reset();
    EXPECT_TRUE(test::eventually(io, [&] { return drained; }));
}

class ControlLinkTest : public DrainTest {
  protected:
    ControlLinkTest() : ControlLinkTest(std::make_shared<net::TemporaryDirectory>()) {}
    explicit ControlLinkTest(const std::shared_ptr<net::TemporaryDirectory>& kept)
        : DrainTest(with_control(kept->path()))
        , directory(kept) {
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        (kept->path() / "control").string().copy(name.sun_path, sizeof name.sun_path - 1);
        daemon.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(bind(daemon.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
        EXPECT_EQ(listen(daemon.get(), 1), 0);
    }
    static Config with_control(const std::filesystem::path& directory) {
        Config config = made();
        config.routes_file.clear();
        config.state_directory = directory;
        config.control_socket = directory / "control";
        return config;
    }

    std::shared_ptr<net::TemporaryDirectory> directory;
    net::UniqueFd daemon;
};

TEST_F(ControlLinkTest, AnEdgeThatStopsDoesNotWaitForIt) {
    say(build::record(build::message(build::alpn({"p2prc-control/1"}))));
    EXPECT_TRUE(test::eventually(io, [this] { return edge.connections() == 1; }));
    bool drained = false;
    edge.drain([&] { drained = true; });
    EXPECT_TRUE(drained) << "its pings would never let it be quiet";
}

} // namespace
