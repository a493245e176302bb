// A client whose home is slow: noticed when it leaves, waited for when the edge stops.
#include "edge/edge.h"
#include "edge/listen/listener.h"
#include "net/identity.h"
#include "tests/unit/edge/hello_builder.h"
#include "tests/unit/support/eventually.h"

#include <arpa/inet.h>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

using namespace p2prc;
using namespace p2prc::edge;
using namespace std::chrono_literals;
namespace build = p2prc::edge::testing;

namespace {

class WaitingClientTest : public ::testing::Test {
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
        std::vector<net::PassedSocket> passed(1);
        passed[0].fd = std::move(*open_listener({net::Address::v4({127, 0, 0, 1}), 0}));
        passed[0].name = "https";
        const auto port = net::local_endpoint(passed[0].fd.get()).port;
        EXPECT_TRUE(edge.listen(std::move(passed)));
        client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
        const auto hello = build::hello("app.home.example");
        EXPECT_EQ(send(client.get(), hello.data(), hello.size(), 0), static_cast<ssize_t>(hello.size()));
        EXPECT_TRUE(test::eventually(io, [this] { return edge.status()["dialling"] == 1; }));
    }
    static Config config() {
        Config made;
        made.routes_file = "none"; // nothing is kept on disk
        made.drain = 1h;
        return made;
    }

    boost::asio::io_context io{1};
    Edge edge{io.get_executor(), config()};
    net::UniqueFd client;
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

} // namespace
