// Where the edge's end of tunnels is full: who makes room.
#include "tunnel/seal.h"
#include "tunnel/session_frame.h"
#include "tunnel_harness.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <array>
#include <vector>

using namespace p2prc;
using namespace p2prc::test;

namespace {

// A connector's session by hand: it can open as many flow connections as it likes.
class HandSession {
  public:
    explicit HandSession(TunnelHarness& harness) : harness_(harness) {
        harness_.on_loop([this] {
            boost::asio::co_spawn(harness_.io(), greet(*this), boost::asio::detached);
            return 0;
        });
        EXPECT_TRUE(harness_.eventually([this] { return session_ != 0; }));
    }
    ~HandSession() {
        harness_.on_loop([this] {
            stream_.reset();
            return 0;
        });
    }

    Peer open_flow() {
        const auto preface = seals_->seal_preface({session_, ++counter_});
        Peer flow = Peer::connect(harness_.edge_port());
        flow.send(std::string(preface.begin(), preface.end()));
        return flow;
    }

  private:
    static boost::asio::awaitable<void> greet(HandSession& self) {
        TunnelHarness& home = self.harness_;
        auto context = net::tls_client(home.home_identity(), std::string(tunnel::session_alpn),
                                       [](std::string_view) { return true; });
        Peer socket = Peer::connect(home.edge_port());
        self.stream_ = std::make_unique<net::TlsStream>(home.io().get_executor(),
                                                        net::UniqueFd(dup(socket.fd())), *context);
        co_await self.stream_->handshake(net::TlsStream::Side::Client, std::chrono::milliseconds(5000));
        const auto exported = self.stream_->export_key(tunnel::exporter_label, tunnel::exporter_size);
        self.seals_.emplace(*exported);
        tunnel::FrameReader reader;
        std::array<std::uint8_t, 256> buffer;
        while (self.session_ == 0) {
            const std::span<std::uint8_t> space(buffer);
            const auto size = co_await self.stream_->read_some(space);
            if (!size) co_return;
            reader.feed(ByteView(buffer).first(*size));
            const auto frame = reader.next();
            if (frame && *frame) self.session_ = tunnel::parse_hello((*frame)->payload)->session;
        }
    }

    TunnelHarness& harness_;
    std::unique_ptr<net::TlsStream> stream_;
    std::optional<tunnel::FlowSeals> seals_;
    std::uint64_t session_ = 0;
    std::uint64_t counter_ = 0;
};

class LimitsTest : public testing::Test {
  protected:
    void SetUp() override {
        harness.table.mappings[1] = {1, "app.home.example", app.port(), TlsMode::Passthrough};
        harness.edge_options.wait = std::chrono::minutes(2); // on a busy machine, none ends by itself
    }
    edge::TunnelCounts counts() {
        return harness.on_loop([this] { return harness.edge().counts(); });
    }
    Peer waiting_client(std::size_t size = 1) {
        const auto before = counts();
        Peer client = Peer::connect(harness.public_port());
        client.send(std::string(size, 'x'));
        EXPECT_TRUE(harness.eventually([&] {
            const auto now = harness.edge().counts();
            return now.waiting + now.crowded_out > before.waiting + before.crowded_out;
        }));
        return client;
    }
    static bool closed(const Peer& peer) {
        char byte = 0;
        const auto size = ::recv(peer.fd(), &byte, 1, MSG_DONTWAIT);
        return size == 0 || (size < 0 && errno != EAGAIN);
    }
    bool closes(const Peer& peer) {
        return harness.eventually([&] { return closed(peer); });
    }

    Listener app;
    TunnelHarness harness;
};

TEST_F(LimitsTest, FlowConnectionsThatNobodyAskedForAreClosedAtArrival) {
    harness.edge_options.spare = 2;
    harness.edge_options.settle = std::chrono::minutes(2);
    harness.run(false);
    HandSession session(harness);
    std::vector<Peer> flows;
    for (int i = 0; i < 20; ++i)
        flows.push_back(session.open_flow());
    // Four are wanted.
    EXPECT_TRUE(harness.eventually([this] {
        const auto now = harness.edge().counts();
        return now.surplus >= 14 && now.idle <= 6;
    }));
    EXPECT_TRUE(closes(flows.front()));
    EXPECT_FALSE(closed(flows.back())) << "the oldest makes room";
}

TEST_F(LimitsTest, WhoHasMostFlowConnectionsMakesRoom) {
    harness.edge_options.idle = 6;
    harness.run(false);
    HandSession greedy(harness), modest(harness);
    std::vector<Peer> flows;
    for (int i = 0; i < 6; ++i)
        flows.push_back(greedy.open_flow());
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().idle >= 4; }));
    const Peer first = modest.open_flow();
    const Peer second = modest.open_flow();
    EXPECT_TRUE(harness.eventually([this] { return harness.edge().counts().surplus >= 2; }));
    EXPECT_TRUE(closes(flows.front()));
    EXPECT_FALSE(closed(first));
    EXPECT_FALSE(closed(second));
}

TEST_F(LimitsTest, OfWaitingClientsTheOldestMakesRoom) {
    harness.edge_options.waiting = 2;
    harness.run(false);
    const Peer first = waiting_client(), second = waiting_client(), third = waiting_client();
    EXPECT_TRUE(closes(first));
    EXPECT_FALSE(closed(second));
    EXPECT_FALSE(closed(third));
    EXPECT_EQ(counts().waiting, 2u);
}

TEST_F(LimitsTest, OfWaitingClientsOfOneAddressTheOldestMakesRoom) {
    harness.edge_options.waiting_per_address = 2;
    harness.run(false);
    const Peer first = waiting_client(), second = waiting_client(), third = waiting_client();
    EXPECT_TRUE(closes(first));
    EXPECT_FALSE(closed(second));
    EXPECT_FALSE(closed(third));
}

TEST_F(LimitsTest, OfWaitingClientsOfAllHomesTheOldestMakesRoom) {
    harness.edge_options.waiting_in_all = 2;
    harness.run(false);
    const Peer first = waiting_client(), second = waiting_client(), third = waiting_client();
    EXPECT_TRUE(closes(first));
    EXPECT_FALSE(closed(third));
}

TEST_F(LimitsTest, WhoHasSaidMostMakesRoom) {
    harness.edge_options.waiting_bytes = 20'000;
    harness.run(false);
    const Peer small = waiting_client(10), hoarder = waiting_client(15'000), newcomer = waiting_client(6'000);
    EXPECT_TRUE(closes(hoarder));
    EXPECT_FALSE(closed(small));
    EXPECT_FALSE(closed(newcomer));
}

TEST_F(LimitsTest, AClientThatHasLeftIsNotCarried) {
    harness.run(false);
    edge::Tunnels::Ticket ticket;
    bool told = false;
    harness.on_loop([&] {
        edge::FlowRequest request;
        request.connector_key = harness.home_identity().fingerprint();
        request.mapping_id = 1;
        request.first_bytes = "hello";
        ticket = harness.edge().open(std::move(request), [&](Result<edge::ReadyFlow>) { told = true; });
        return 0;
    });
    EXPECT_EQ(counts().waiting, 1u);
    harness.on_loop([&] {
        harness.edge().cancel(ticket);
        harness.edge().cancel(ticket);
        return 0;
    });
    EXPECT_EQ(counts().waiting, 0u);
    EXPECT_EQ(counts().failed, 0u);
    EXPECT_FALSE(told);
}

} // namespace
