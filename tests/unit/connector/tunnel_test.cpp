#include "net/listeners.h"
#include "tunnel/seal.h"
#include "tunnel/session_frame.h"
#include "tunnel_harness.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

using namespace p2prc;
using namespace p2prc::test;

namespace {

std::string pattern(std::size_t size) {
    std::string out(size, '\0');
    std::uint32_t state = 12345;
    for (char& c : out) {
        state = state * 1664525 + 1013904223;
        c = static_cast<char>(state >> 24);
    }
    return out;
}

// The ports at the far ends of the established connections to a port here (proc(5), /proc/net/tcp).
std::set<std::string> peers_of(std::uint16_t port) {
    std::ifstream table("/proc/self/net/tcp");
    std::set<std::string> peers;
    std::string line, number, local, remote, state;
    while (std::getline(table, line)) {
        std::istringstream words(line);
        if (!(words >> number >> local >> remote >> state) || state != "01") continue;
        if (local.ends_with(fmt::format(":{:04X}", port))) peers.insert(remote);
    }
    return peers;
}

class TunnelTest : public testing::Test {
  protected:
    void SetUp() override {
        harness.table.mappings[1] = {1, "app.home.example", app.port(), TlsMode::Passthrough};
    }
    bool up() {
        return harness.eventually([this] { return harness.edge().counts().idle >= tunnel_least; });
    }
    static constexpr std::size_t tunnel_least = 4;

    Listener app;
    TunnelHarness harness;
};

TEST_F(TunnelTest, CarriesAClientHome) {
    harness.run();
    Peer client = Peer::connect(harness.public_port());
    client.send("hello from outside");
    Peer home = app.accept();
    EXPECT_EQ(home.receive(18), "hello from outside");
    home.send("welcome");
    EXPECT_EQ(client.receive(7), "welcome");
}

TEST_F(TunnelTest, DoesNotWaitForAReplyToGoOn) {
    harness.run();
    Peer client = Peer::connect(harness.public_port());
    client.send("one");
    Peer home = app.accept();
    EXPECT_EQ(home.receive(3), "one");
    client.send("two");
    EXPECT_EQ(home.receive(3), "two");
    home.close();
    EXPECT_EQ(client.receive_all(), "");
}

TEST_F(TunnelTest, LeavesBytesAsTheyAreBothWays) {
    harness.run();
    const std::string up_bytes = pattern(5'000'000);
    const std::string down_bytes = pattern(7'000'001);
    Peer client = Peer::connect(harness.public_port());
    client.send(up_bytes.substr(0, 100));
    Peer home = app.accept();
    std::thread upward([&] {
        client.send(std::string_view(up_bytes).substr(100));
        client.finish();
    });
    std::thread downward([&] {
        home.send(down_bytes);
        home.finish();
    });
    std::string got_up;
    std::thread reader([&] { got_up = home.receive_all(); });
    const std::string got_down = client.receive_all();
    upward.join();
    downward.join();
    reader.join();
    EXPECT_TRUE(got_up == up_bytes);
    EXPECT_TRUE(got_down == down_bytes);
}

TEST_F(TunnelTest, CarriesAHalfCloseAndWaitsForTheReply) {
    harness.run();
    Peer client = Peer::connect(harness.public_port());
    client.send("question");
    client.finish();
    Peer home = app.accept();
    EXPECT_EQ(home.receive_all(), "question");
    home.send("answer");
    home.close();
    EXPECT_EQ(client.receive_all(), "answer");
}

TEST_F(TunnelTest, RefusesAMappingThatIsNotOfThisMachine) {
    harness.run();
    ASSERT_TRUE(up());
    harness.carry(99);
    Peer client = Peer::connect(harness.public_port());
    client.send("x");
    EXPECT_EQ(client.receive_all(), "");
    ASSERT_TRUE(harness.last_error());
    EXPECT_EQ(harness.last_error()->code, ErrorCode::NotFound);
    EXPECT_TRUE(app.nobody_came(50));
}

TEST_F(TunnelTest, RefusesWhereNothingListens) {
    std::uint16_t closed_port = 0;
    {
        closed_port = Listener().port();
    }
    harness.table.mappings[2] = {2, "b.home.example", closed_port, TlsMode::Passthrough};
    harness.run();
    ASSERT_TRUE(up());
    harness.carry(2);
    Peer client = Peer::connect(harness.public_port());
    client.send("x");
    EXPECT_EQ(client.receive_all(), "");
    ASSERT_TRUE(harness.last_error());
    EXPECT_NE(harness.last_error()->message.find("nothing listens"), std::string::npos);
}

TEST_F(TunnelTest, BytesGoToItsOwnProgramAlone) {
    Listener own;
    std::uint64_t group = 0;
    const auto listeners = net::tcp_listeners();
    ASSERT_TRUE(listeners);
    for (const net::Listener& listener : *listeners)
        if (listener.port == own.port()) group = listener.cgroup;
    if (group == 0) GTEST_SKIP() << "this kernel does not tell sockets' control groups";
    harness.table.mappings[2] = {2, "b.home.example", own.port(), TlsMode::Passthrough};
    harness.table.mappings[2].groups = {group + 1};
    harness.table.mappings[3] = {3, "c.home.example", own.port(), TlsMode::Passthrough};
    harness.table.mappings[3].groups = {group};
    harness.run();
    ASSERT_TRUE(up());
    harness.carry(2);
    Peer stranger = Peer::connect(harness.public_port());
    stranger.send("secret");
    EXPECT_EQ(stranger.receive_all(), "");
    EXPECT_TRUE(own.accept().ended_by_reset());
    harness.carry(3);
    Peer client = Peer::connect(harness.public_port());
    client.send("question");
    Peer home = own.accept();
    EXPECT_EQ(home.receive(8), "question");
    home.send("answer");
    EXPECT_EQ(client.receive(6), "answer");
}

TEST_F(TunnelTest, WhoeverIsNotThereIsNotDialled) {
    harness.table.mappings[2] = {2, "b.home.example", 22, TlsMode::Passthrough};
    harness.table.mappings[2].address.reset();
    harness.run();
    ASSERT_TRUE(up());
    harness.carry(2);
    Peer client = Peer::connect(harness.public_port());
    client.send("x");
    EXPECT_EQ(client.receive_all(), "");
}

TEST_F(TunnelTest, RefusesToCarryPlainBytesAtBothEnds) {
    const auto plain = static_cast<TlsMode>(17);
    harness.table.mappings[3] = {3, "c.home.example", app.port(), plain};
    harness.run();
    ASSERT_TRUE(up());
    harness.carry(3, plain);
    Peer first = Peer::connect(harness.public_port());
    first.send("x");
    EXPECT_EQ(first.receive_all(), "");
    EXPECT_EQ(harness.last_error()->code, ErrorCode::NotSupported);
    // An edge that pretends.
    harness.carry(3, TlsMode::Passthrough);
    Peer second = Peer::connect(harness.public_port());
    second.send("x");
    EXPECT_EQ(second.receive_all(), "");
    EXPECT_NE(harness.last_error()->message.find("unsealed"), std::string::npos);
    EXPECT_TRUE(app.nobody_came(50));
}

TEST_F(TunnelTest, DropsSessionsOfARemovedKeyAtOnce) {
    harness.run();
    ASSERT_TRUE(up());
    harness.on_loop([this] {
        harness.edge().allow({});
        return 0;
    });
    const edge::TunnelCounts counts = harness.on_loop([this] { return harness.edge().counts(); });
    EXPECT_EQ(counts.sessions, 0u);
    EXPECT_EQ(counts.idle, 0u);
    Peer client = Peer::connect(harness.public_port());
    client.send("x");
    EXPECT_EQ(client.receive_all(), "");
    harness.on_loop([this] {
        harness.edge().allow({harness.home_identity().fingerprint()});
        return 0;
    });
    EXPECT_TRUE(up()) << "allowed again, it comes back";
}

TEST_F(TunnelTest, RefusesAConnectorItDoesNotKnow) {
    harness.run(false);
    harness.on_loop([this] {
        harness.edge().allow({std::string(64, '0')});
        harness.start_connector();
        return 0;
    });
    EXPECT_TRUE(harness.eventually([this] {
        const auto status = harness.connector().status();
        return !status.edges.empty() && !status.edges.begin()->second.error.empty();
    }));
    EXPECT_EQ(harness.on_loop([this] { return harness.edge().counts().sessions; }), 0u);
}

TEST_F(TunnelTest, RefusesAnEdgeThatIsNotTheOneItWasToldOf) {
    harness.run(false);
    harness.on_loop([this] {
        harness.table.edges[0].key = std::string(64, '0');
        harness.start_connector();
        return 0;
    });
    EXPECT_TRUE(harness.eventually([this] {
        const auto status = harness.connector().status();
        return !status.edges.empty() && !status.edges.begin()->second.error.empty();
    }));
    EXPECT_FALSE(harness.on_loop([this] { return harness.connector().status().edges.begin()->second.up; }));
}

TEST_F(TunnelTest, ServesMoreClientsThanLieReady) {
    harness.run();
    ASSERT_TRUE(up());
    std::vector<Peer> clients;
    for (int i = 0; i < 100; ++i) {
        clients.push_back(Peer::connect(harness.public_port()));
        clients.back().send("c");
    }
    std::vector<Peer> homes;
    for (int i = 0; i < 100; ++i) {
        homes.push_back(app.accept());
        EXPECT_EQ(homes.back().receive(1), "c");
        homes.back().send("h");
    }
    for (Peer& client : clients)
        EXPECT_EQ(client.receive(1), "h");
    const auto counts = harness.on_loop([this] { return harness.edge().counts(); });
    EXPECT_EQ(counts.opened, 100u);
    EXPECT_EQ(counts.replays, 0u);
}

TEST_F(TunnelTest, WaitsForAHomeThatComesBack) {
    harness.run(false);
    Peer client = Peer::connect(harness.public_port());
    client.send("early");
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 1; }));
    harness.on_loop([this] {
        harness.start_connector();
        return 0;
    });
    Peer home = app.accept();
    EXPECT_EQ(home.receive(5), "early");
}

TEST_F(TunnelTest, WhatWaitingClientsHoldIsLimited) {
    harness.edge_options.waiting_bytes = 50'000;
    harness.edge_options.wait = std::chrono::minutes(2);
    harness.run(false);
    const std::string large(30'000, 'x');
    Peer first = Peer::connect(harness.public_port());
    first.send(large);
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 1; }));
    Peer second = Peer::connect(harness.public_port());
    second.send(large);
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().failed == 1; }));
    Peer small = Peer::connect(harness.public_port());
    small.send("x");
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 2; }));
    // Whoever is served or gives up makes room.
    harness.on_loop([this] {
        harness.edge().allow({});
        harness.edge().allow({harness.home_identity().fingerprint()});
        return 0;
    });
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 0; }));
    Peer third = Peer::connect(harness.public_port());
    third.send(large);
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 1; }));
}

TEST_F(TunnelTest, GivesUpOnAHomeThatStaysAway) {
    harness.edge_options.wait = std::chrono::milliseconds(200);
    harness.run(false);
    Peer client = Peer::connect(harness.public_port());
    client.send("x");
    EXPECT_EQ(client.receive_all(), "");
    ASSERT_TRUE(harness.last_error());
    EXPECT_EQ(harness.last_error()->code, ErrorCode::Unreachable);
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().waiting == 0; }));
}

TEST_F(TunnelTest, RefusesAtOnceOnceAHomeHasBeenAwayAWhile) {
    harness.edge_options.back = std::chrono::milliseconds(300);
    harness.edge_options.wait = std::chrono::minutes(10);
    harness.run();
    ASSERT_TRUE(up());
    harness.on_loop([this] {
        harness.stop_connector();
        return 0;
    });
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().homes == 0; }));
    // It was there a moment ago, so it is waited for; but not for ten minutes.
    Peer early = Peer::connect(harness.public_port());
    early.send("x");
    // Whoever looks too late sees that it was given up.
    EXPECT_TRUE(harness.eventually([this] {
        const auto counts = harness.edge().counts();
        return counts.waiting == 1 || counts.failed > 0;
    }));
    EXPECT_EQ(early.receive_all(), "");
    Peer late = Peer::connect(harness.public_port());
    late.send("x");
    EXPECT_EQ(late.receive_all(), "");
    EXPECT_EQ(harness.on_loop([this] { return harness.edge().counts().failed; }), 2U);
    ASSERT_TRUE(harness.last_error());
    EXPECT_EQ(harness.last_error()->message, "the node is not connected");
    harness.on_loop([this] {
        harness.start_connector();
        return 0;
    });
    ASSERT_TRUE(up());
    Peer client = Peer::connect(harness.public_port());
    client.send("back");
    EXPECT_EQ(app.accept().receive(4), "back");
}

TEST_F(TunnelTest, ReconnectsAfterTheSessionIsLost) {
    harness.run();
    ASSERT_TRUE(up());
    for (int i = 0; i < 3; ++i) {
        harness.on_loop([this] {
            harness.stop_connector();
            harness.start_connector();
            return 0;
        });
        Peer client = Peer::connect(harness.public_port());
        client.send("again");
        Peer home = app.accept();
        EXPECT_EQ(home.receive(5), "again");
    }
}

// An edge that shakes hands and then says nothing: the connector must give it up and dial again. Meanwhile
// `disturb` is called on the loop.
class MuteEdgeTest : public TunnelTest {
  protected:
    void is_given_up(const std::function<void()>& disturb) {
        harness.run(false);
        Listener mute;
        const auto context =
            net::tls_server(harness.edge_identity(),
                            {{std::string(tunnel::session_alpn), [](std::string_view) { return true; }, {}}});
        ASSERT_TRUE(context);
        harness.on_loop([&] {
            harness.table.edges[0].address.port = mute.port();
            harness.start_connector();
            return 0;
        });
        Peer edge = mute.accept();
        auto stream = harness.on_loop([&] {
            return std::make_unique<net::TlsStream>(harness.io().get_executor(),
                                                    net::UniqueFd(dup(edge.fd())), *context);
        });
        harness.on_loop([&] {
            boost::asio::co_spawn(
                harness.io(),
                stream->handshake(net::TlsStream::Side::Server, std::chrono::milliseconds(5000)),
                boost::asio::detached);
            return 0;
        });
        for (int i = 0; i < 100 && mute.nobody_came(50); ++i)
            harness.on_loop([&] {
                disturb();
                return 0;
            });
        EXPECT_FALSE(mute.nobody_came(0)) << "the first session is still believed in";
        harness.on_loop([&] {
            harness.stop_connector();
            stream.reset();
            return 0;
        });
    }
};

TEST_F(MuteEdgeTest, IsNoticedByPings) {
    harness.link_options.ping = {std::chrono::milliseconds(50), 3};
    is_given_up([] {});
}

TEST_F(MuteEdgeTest, IsNoticedWhileTheNetworkKeepsChanging) {
    harness.link_options.probe = std::chrono::milliseconds(300);
    is_given_up([this] { harness.connector().network_changed(); });
}

TEST_F(TunnelTest, RenewsFlowConnectionsThatLieLong) {
    harness.edge_options.idle_life = std::chrono::milliseconds(500);
    harness.run();
    ASSERT_TRUE(up());
    const auto first = peers_of(harness.edge_port());
    EXPECT_GT(first.size(), tunnel_least); // the session is one as well
    // All but the session's connection are others than before, and as many lie ready.
    EXPECT_TRUE(harness.eventually([&] {
        const auto now = peers_of(harness.edge_port());
        const auto kept = std::ranges::count_if(now, [&](auto port) { return first.contains(port); });
        return kept == 1 && harness.edge().counts().idle >= tunnel_least;
    }));
    EXPECT_EQ(harness.edge().counts().sessions, 1u);
    Peer client = Peer::connect(harness.public_port());
    client.send("still");
    Peer home = app.accept();
    EXPECT_EQ(home.receive(5), "still");
}

// A stranger on the port, and a connector that plays foul.
class ForgedTest : public TunnelTest {
  protected:
    edge::TunnelCounts counts() {
        return harness.on_loop([this] { return harness.edge().counts(); });
    }
    // A session by hand, whose keys are held, and which does not answer pings.
    struct Held {
        std::unique_ptr<net::TlsStream> stream;
        std::optional<tunnel::FlowSeals> seals;
        std::uint64_t session = 0;
    };
    static boost::asio::awaitable<void> take_session(TunnelHarness& home, Held& hold) {
        auto context = net::tls_client(home.home_identity(), std::string(tunnel::session_alpn),
                                       [](std::string_view) { return true; });
        Peer socket = Peer::connect(home.edge_port());
        hold.stream = std::make_unique<net::TlsStream>(home.io().get_executor(),
                                                       net::UniqueFd(dup(socket.fd())), *context);
        co_await hold.stream->handshake(net::TlsStream::Side::Client, std::chrono::milliseconds(5000));
        const auto exported = hold.stream->export_key(tunnel::exporter_label, tunnel::exporter_size);
        hold.seals.emplace(*exported);
        tunnel::FrameReader reader;
        std::array<std::uint8_t, 256> buffer;
        while (hold.session == 0) {
            const std::span<std::uint8_t> space(buffer);
            const auto size = co_await hold.stream->read_some(space);
            if (!size) co_return;
            reader.feed(ByteView(buffer).first(*size));
            const auto frame = reader.next();
            if (frame && *frame) hold.session = tunnel::parse_hello((*frame)->payload)->session;
        }
    }
    void hold_session() {
        harness.on_loop([&] {
            boost::asio::co_spawn(harness.io(), take_session(harness, held), boost::asio::detached);
            return 0;
        });
    }
    void TearDown() override {
        harness.on_loop([&] {
            held.stream.reset();
            return 0;
        });
    }
    void expect_closed(std::string_view bytes) {
        Peer stranger = Peer::connect(harness.edge_port());
        stranger.send(bytes);
        char byte = 0;
        EXPECT_LE(::recv(stranger.fd(), &byte, 1, 0), 0);
    }

    Held held;
};

// As if its machine had lost power: pings would notice it after 45 seconds.
TEST_F(ForgedTest, AVisitorFindsOutThatAHomeHasFallenSilent) {
    harness.edge_options.probe = std::chrono::milliseconds(300);
    harness.edge_options.back = std::chrono::milliseconds(200);
    harness.edge_options.wait = std::chrono::minutes(10);
    harness.run(false);
    hold_session();
    ASSERT_TRUE(harness.eventually([&] { return held.session != 0; }));
    const auto preface = held.seals->seal_preface({held.session, 1});
    Peer flow = Peer::connect(harness.edge_port());
    flow.send(std::string(preface.begin(), preface.end()));
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().idle == 1; }));
    for (int i = 0; i < 2; ++i) {
        Peer client = Peer::connect(harness.public_port());
        client.send("x");
        EXPECT_EQ(client.receive_all(), "");
    }
    EXPECT_EQ(counts().failed, 2U);
    EXPECT_EQ(counts().homes, 0U);
}

TEST_F(ForgedTest, PrefacesOfStrangersAreClosed) {
    harness.run();
    ASSERT_TRUE(up());
    const auto claim = tunnel::encode_claim({12345, 1});
    std::string preface(claim.begin(), claim.end());
    preface.resize(tunnel::preface_size, 'x');
    expect_closed(preface);
    expect_closed(preface + "more than a preface");
    preface[4] = 9;
    expect_closed(preface);
    EXPECT_EQ(counts().bad_prefaces, 3u);
}

TEST_F(ForgedTest, OneAddressCannotHoldAllHandshakes) {
    harness.edge_options.handshakes_per_address = 2;
    harness.edge_options.handshake = std::chrono::minutes(2); // on a busy machine, none ends by itself
    harness.run(false);
    std::vector<Peer> strangers;
    for (int i = 0; i < 3; ++i) {
        strangers.push_back(Peer::connect(harness.edge_port()));
        strangers.back().send(std::string_view("\x16\x03\x01", 3));
    }
    const auto closed = [&] {
        return std::ranges::count_if(strangers, [](Peer& peer) {
            char byte = 0;
            const auto size = ::recv(peer.fd(), &byte, 1, MSG_DONTWAIT);
            return size == 0 || (size < 0 && errno != EAGAIN);
        });
    };
    EXPECT_TRUE(harness.eventually([&] { return closed() > 0; }));
    EXPECT_EQ(closed(), 1);
}

TEST_F(ForgedTest, ManyAddressesCannotHoldAllHandshakes) {
    harness.edge_options.handshakes = 3;
    harness.edge_options.handshakes_per_address = 100;
    harness.edge_options.handshake = std::chrono::minutes(2);
    harness.run(false);
    std::vector<Peer> strangers;
    for (int i = 0; i < 3; ++i) {
        strangers.push_back(Peer::connect(harness.edge_port()));
        strangers.back().send(std::string_view("\x16\x03\x01", 3));
    }
    ASSERT_TRUE(harness.eventually([&] { return harness.edge().counts().handshakes == 3; }));
    harness.on_loop([this] {
        harness.start_connector();
        return 0;
    });
    EXPECT_TRUE(up());
}

TEST_F(ForgedTest, ACounterIsGoodOnce) {
    harness.run(false);
    hold_session();
    ASSERT_TRUE(harness.eventually([&] { return held.session != 0; }));
    const auto preface = held.seals->seal_preface({held.session, 5});
    const std::string bytes(preface.begin(), preface.end());
    Peer good = Peer::connect(harness.edge_port());
    good.send(bytes);
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().idle == 1; }));
    expect_closed(bytes);
    EXPECT_EQ(counts().replays, 1u);

    // A client is sent there, and a forged answer is not believed.
    Peer client = Peer::connect(harness.public_port());
    client.send("private");
    const std::string length = good.receive(2);
    ASSERT_EQ(length.size(), 2u);
    const std::string sealed = good.receive(static_cast<std::size_t>(
        static_cast<std::uint8_t>(length[0]) << 8 | static_cast<std::uint8_t>(length[1])));
    EXPECT_TRUE(held.seals->open_header({held.session, 5}, as_bytes(sealed)));
    good.send(std::string(tunnel::sealed_answer_size, 'z'));
    EXPECT_EQ(good.receive_all(), "private");
    EXPECT_EQ(counts().opened, 0u);

    // The counters die with the session.
    harness.on_loop([&] {
        held.stream.reset();
        return 0;
    });
    ASSERT_TRUE(harness.eventually([this] { return harness.edge().counts().sessions == 0; }));
    const auto next = held.seals->seal_preface({held.session, 6});
    expect_closed(std::string(next.begin(), next.end()));
    EXPECT_GE(counts().bad_prefaces, 1u);
}

TEST_F(ForgedTest, AHeaderOfAStrangerIsNotObeyed) {
    harness.run(false);
    // An edge with the right session, but headers that are not its own.
    Listener foul;
    const auto context =
        net::tls_server(harness.edge_identity(),
                        {{std::string(tunnel::session_alpn), [](std::string_view) { return true; }, {}}});
    ASSERT_TRUE(context);
    harness.on_loop([&] {
        harness.table.edges[0].address.port = foul.port();
        harness.start_connector();
        return 0;
    });
    Peer edge = foul.accept();
    std::unique_ptr<net::TlsStream> stream;
    const auto greet = [](net::TlsStream& to) -> boost::asio::awaitable<void> {
        co_await to.handshake(net::TlsStream::Side::Server, std::chrono::milliseconds(5000));
        Bytes bytes = tunnel::encode_hello(77);
        const Bytes want = tunnel::encode_want(1);
        bytes.insert(bytes.end(), want.begin(), want.end());
        co_await to.write(bytes);
    };
    harness.on_loop([&] {
        stream = std::make_unique<net::TlsStream>(harness.io().get_executor(), net::UniqueFd(dup(edge.fd())),
                                                  *context);
        boost::asio::co_spawn(harness.io(), greet(*stream), boost::asio::detached);
        return 0;
    });
    Peer flow = foul.accept();
    const std::string preface = flow.receive(tunnel::preface_size);
    ASSERT_EQ(preface.size(), tunnel::preface_size);
    EXPECT_EQ(tunnel::parse_preface(as_bytes(preface))->session, 77u);
    std::string header("\0\x40", 2);
    header += std::string(64, 'f');
    flow.send(header);
    EXPECT_EQ(flow.receive_all(), "") << "there is nobody to answer";
    EXPECT_TRUE(app.nobody_came(50));
    harness.on_loop([&] {
        stream.reset();
        return 0;
    });
}

} // namespace
