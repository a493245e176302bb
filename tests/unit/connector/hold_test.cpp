// Clients are held while the process that they want is on its way.
#include "tunnel_harness.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

using namespace p2prc;
using namespace p2prc::test;
using namespace std::chrono_literals;

namespace {

// Has a port, and refuses connections until it is told to listen.
class LateListener {
  public:
    LateListener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
        socklen_t size = sizeof name;
        getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&name), &size);
        port_ = ntohs(name.sin_port);
    }
    std::uint16_t port() const { return port_; }
    void listen() { EXPECT_EQ(::listen(fd_.get(), 128), 0); }
    Peer accept() {
        const timeval limit{10, 0};
        setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return Peer(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    bool nobody_is_left() {
        return fcntl(fd_.get(), F_SETFL, O_NONBLOCK) == 0 && ::accept(fd_.get(), nullptr, nullptr) < 0;
    }

  private:
    net::UniqueFd fd_;
    std::uint16_t port_ = 0;
};

class HoldTest : public testing::Test {
  protected:
    void SetUp() override {
        harness.table.mappings[1] = {1, "app.home.example", app.port(), TlsMode::Passthrough};
        coming(harness.table.mappings[1]);
    }
    static void coming(connector::Mapping& mapping) {
        mapping.address.reset();
        mapping.availability = Availability::Coming;
        mapping.hold = 60s;
    }
    // p2prcd has something new to say.
    void tell(std::function<void(connector::Mapping&)> change) {
        harness.on_loop([&] {
            change(harness.table.mappings[1]);
            harness.connector().set_mappings(harness.table);
            return 0;
        });
    }
    void listens() {
        app.listen();
        tell([](connector::Mapping& mapping) {
            mapping.address = net::Address::v4({127, 0, 0, 1});
            mapping.availability = Availability::Running;
        });
    }
    Peer client(std::string_view first) {
        Peer peer = Peer::connect(harness.public_port());
        peer.send(first);
        return peer;
    }
    bool held(std::size_t count) {
        return harness.eventually([this, count] { return harness.connector().status().held == count; });
    }
    // Clients that the edge knows to be held.
    bool waiting(std::size_t count) {
        return harness.eventually([this, count] { return harness.edge().counts().waiting == count; });
    }

    LateListener app;
    TunnelHarness harness;
};

TEST_F(HoldTest, AClientWaitsForItsProcessAndIsHeardOnce) {
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(held(1));
    listens();
    Peer home = app.accept();
    EXPECT_EQ(home.receive(5), "hello");
    home.send("welcome");
    EXPECT_EQ(visitor.receive(7), "welcome");
    EXPECT_TRUE(held(0));
    EXPECT_TRUE(app.nobody_is_left());
}

// One that runs and refuses its clients is not waited for as long as one that is coming.
TEST_F(HoldTest, WhoHasWaitedForLongIsServedByAProcessThatRunsAtLast) {
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(held(1));
    app.listen();
    tell([](connector::Mapping& mapping) {
        mapping.address = net::Address::v4({127, 0, 0, 1});
        mapping.availability = Availability::Running;
        mapping.hold = 0ms;
    });
    EXPECT_EQ(app.accept().receive(5), "hello");
    EXPECT_TRUE(app.nobody_is_left());
}

TEST_F(HoldTest, WhoHasWaitedForLongIsToldWhenAProcessThatRunsRefuses) {
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(held(1));
    tell([](connector::Mapping& mapping) {
        mapping.address = net::Address::v4({127, 0, 0, 1});
        mapping.availability = Availability::Running;
        mapping.hold = 0ms;
    });
    EXPECT_EQ(visitor.receive_all(), "");
    EXPECT_TRUE(held(0));
}

// Where the edge has asked again before it heard that the client is held.
TEST_F(HoldTest, OnlyTheLastFlowConnectionOfAClientAnswersForIt) {
    harness.edge_options.another = 60s;
    harness.run();
    std::vector<std::string> answered;
    const auto ask = [&](const std::string& name) {
        harness.on_loop([&] {
            edge::FlowRequest request;
            request.connector_key = harness.home_identity().fingerprint();
            request.mapping_id = 1;
            request.client = request.server = {net::Address::v4({192, 0, 2, 1}), 4711};
            request.first_bytes = "hello";
            harness.edge().open(std::move(request), [&answered, name](const Result<edge::ReadyFlow>& flow) {
                answered.push_back(name + (flow ? " accepted" : " refused"));
            });
            return 0;
        });
    };
    ask("first");
    ASSERT_TRUE(held(1));
    ask("second");
    ASSERT_TRUE(held(2));
    app.listen();
    tell([](connector::Mapping& mapping) {
        mapping.address = net::Address::v4({127, 0, 0, 1});
        mapping.availability = Availability::Running;
        mapping.hold = 0ms;
    });
    EXPECT_EQ(app.accept().receive(5), "hello");
    EXPECT_TRUE(harness.eventually([&] { return !answered.empty(); }));
    EXPECT_EQ(harness.on_loop([&] { return answered; }), std::vector<std::string>{"second accepted"});
    EXPECT_TRUE(app.nobody_is_left());
}

TEST_F(HoldTest, ARefusedPortIsDialledAgain) {
    harness.table.mappings[1].address = net::Address::v4({127, 0, 0, 1});
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(held(1));
    app.listen(); // and p2prcd says nothing
    Peer home = app.accept();
    EXPECT_EQ(home.receive(5), "hello");
    EXPECT_TRUE(app.nobody_is_left());
}

// Between the end of a process and the word of it.
TEST_F(HoldTest, WhatRanAMomentAgoIsWaitedForUntilThereIsNews) {
    auto& mapping = harness.table.mappings[1];
    mapping.address = net::Address::v4({127, 0, 0, 1});
    mapping.availability = Availability::Running;
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(held(1));
    tell(coming);
    ASSERT_TRUE(held(1));
    listens();
    EXPECT_EQ(app.accept().receive(5), "hello");
}

TEST_F(HoldTest, EndsAtOnceWhenTheProcessIsStoppedOrFails) {
    for (const auto end : {Availability::Stopped, Availability::Failed}) {
        if (end == Availability::Stopped)
            harness.run();
        else
            tell(coming);
        Peer visitor = client("x");
        ASSERT_TRUE(held(1));
        tell([end](connector::Mapping& mapping) { mapping.availability = end; });
        EXPECT_EQ(visitor.receive_all(), "");
        ASSERT_TRUE(harness.last_error());
        EXPECT_NE(harness.last_error()->message.find("nothing listens"), std::string::npos);
        EXPECT_TRUE(held(0));
        Peer next = client("x"); // nor is anybody held who comes later
        EXPECT_EQ(next.receive_all(), "");
    }
}

TEST_F(HoldTest, EndsWhenItIsOverOrTheMappingIsGone) {
    harness.table.mappings[1].hold = 100ms;
    harness.run();
    EXPECT_EQ(client("x").receive_all(), "");
    EXPECT_EQ(harness.last_error()->code, ErrorCode::Failed);
    tell(coming);
    Peer visitor = client("x");
    ASSERT_TRUE(held(1));
    harness.on_loop([&] {
        harness.table.mappings.clear();
        harness.connector().set_mappings(harness.table);
        return 0;
    });
    EXPECT_EQ(visitor.receive_all(), "");
    EXPECT_TRUE(held(0));
}

TEST_F(HoldTest, EndsWithItsClient) {
    harness.run();
    Peer visitor = client("x");
    ASSERT_TRUE(held(1));
    harness.last_client_leaves();
    EXPECT_TRUE(held(0));
    EXPECT_TRUE(waiting(0));
}

TEST_F(HoldTest, TheOldestMakesRoom) {
    harness.link_options.pool.held = 2;
    harness.run();
    Peer first = client("1");
    ASSERT_TRUE(held(1));
    Peer second = client("2");
    ASSERT_TRUE(held(2));
    Peer third = client("3");
    EXPECT_EQ(first.receive_all(), "");
    EXPECT_TRUE(held(2));
    listens();
    std::set<std::string> heard{app.accept().receive(1), app.accept().receive(1)};
    EXPECT_EQ(heard, (std::set<std::string>{"2", "3"}));
}

// The edge neither asks again meanwhile nor gives up after the time that it gives a connector for its answer.
TEST_F(HoldTest, TheEdgeWaitsAsLongAsTheConnectorHolds) {
    harness.edge_options.another = 1ms;
    harness.edge_options.wait = 200ms;
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(waiting(1)); // it knows
    std::this_thread::sleep_for(500ms);
    EXPECT_TRUE(held(1));
    EXPECT_TRUE(waiting(1));
    listens();
    EXPECT_EQ(app.accept().receive(5), "hello");
    EXPECT_TRUE(app.nobody_is_left());
    EXPECT_TRUE(waiting(0));
}

TEST_F(HoldTest, TheEdgeHoldsSoManyOfOneAddress) {
    harness.edge_options.another = 1ms;
    harness.edge_options.held_per_address = 2;
    harness.run();
    std::vector<Peer> visitors;
    for (const char* name : {"1", "2", "3"}) {
        visitors.push_back(client(name));
        ASSERT_TRUE(waiting(std::min<std::size_t>(visitors.size(), 2)));
    }
    EXPECT_EQ(visitors[0].receive_all(), "");
    EXPECT_TRUE(held(2));
    EXPECT_EQ(harness.on_loop([this] { return harness.edge().counts().crowded_out; }), 1U);
}

TEST_F(HoldTest, AConnectorThatIsRestartedHoldsThemAgain) {
    harness.edge_options.another = 1ms;
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(waiting(1));
    harness.on_loop([this] {
        harness.stop_connector();
        harness.start_connector();
        return 0;
    });
    ASSERT_TRUE(held(1));
    listens();
    EXPECT_EQ(app.accept().receive(5), "hello");
    EXPECT_TRUE(app.nobody_is_left());
}

TEST_F(HoldTest, AHomeThatIsLostIsNotWaitedForAnyLonger) {
    harness.edge_options.another = 1ms;
    harness.edge_options.back = 300ms;
    harness.run();
    Peer visitor = client("hello");
    ASSERT_TRUE(waiting(1));
    harness.on_loop([this] {
        harness.stop_connector();
        return 0;
    });
    EXPECT_EQ(visitor.receive_all(), "");
    EXPECT_EQ(harness.last_error()->code, ErrorCode::Unreachable);
}

TEST_F(HoldTest, ANameThatLeadsElsewhereByNowIsAskedForThere) {
    harness.run();
    listens();
    harness.on_loop([this] {
        harness.edge().look_up_with([this](const std::string& name) -> std::optional<edge::Destination> {
            if (name != "app.home.example") return std::nullopt;
            return edge::Destination{harness.home_identity().fingerprint(), 1, TlsMode::Passthrough};
        });
        return 0;
    });
    harness.carry(99);
    Peer visitor = client("hello");
    EXPECT_EQ(app.accept().receive(5), "hello");
    EXPECT_TRUE(app.nobody_is_left());
}

TEST_F(HoldTest, AMappingThatTheConnectorHearsOfInAMomentIsAskedForAgain) {
    harness.edge_options.news = 60s;
    harness.run();
    listens();
    harness.on_loop([this] {
        harness.edge().look_up_with([this](const std::string&) -> std::optional<edge::Destination> {
            return edge::Destination{harness.home_identity().fingerprint(), 2, TlsMode::Passthrough};
        });
        return 0;
    });
    harness.carry(2);
    Peer visitor = client("hello");
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().refused > 0; }));
    harness.on_loop([this] {
        auto mapping = harness.table.mappings[1];
        mapping.id = 2;
        harness.table.mappings[2] = mapping;
        harness.connector().set_mappings(harness.table);
        return 0;
    });
    EXPECT_EQ(app.accept().receive(5), "hello");
}

} // namespace
