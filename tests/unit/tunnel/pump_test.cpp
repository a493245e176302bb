// The byte pump between real sockets: both ways, half-closed, stalled, and short of pipes.
#include "pump_harness.h"

namespace p2prc::tunnel {
namespace {

TEST_F(PumpTest, CarriesBothWaysAndTheHeadFirst) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right, "head ");
    send_all(left.ours.get(), "question");
    EXPECT_EQ(receive(right.ours.get(), 13), "head question");
    send_all(right.ours.get(), "answer");
    EXPECT_EQ(receive(left.ours.get(), 6), "answer");
    left.ours.reset();
    EXPECT_EQ(receive_all(right.ours.get()), "");
    right.ours.reset();
    const auto end = end_of(result);
    EXPECT_EQ(end.end, PumpEnd::Finished);
    EXPECT_EQ(end.a_to_b, 13u);
    EXPECT_EQ(end.b_to_a, 6u);
}

TEST(TrafficShareTest, CountsWhileItLives) {
    const auto traffic = std::make_shared<Traffic>();
    TrafficShare none;
    none.received(5);
    {
        TrafficShare first(traffic);
        TrafficShare second(traffic);
        EXPECT_EQ(traffic->connections, 2u);
        none = std::move(second);
        EXPECT_EQ(traffic->connections, 2u);
    }
    EXPECT_EQ(traffic->connections, 1u);
    none.sent(3);
    none = TrafficShare();
    EXPECT_EQ(traffic->connections, 0u);
    EXPECT_EQ(traffic->received, 0u);
    EXPECT_EQ(traffic->sent, 3u);
}

TEST_F(PumpTest, HalfCloseIsCarriedThroughAndTheReplyComesBack) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    send_and_finish(left.ours.get(), "request");
    EXPECT_EQ(receive_all(right.ours.get()), "request");
    const auto reply = pattern(3 << 20);
    std::thread server([&] {
        send_all(right.ours.get(), reply);
        right.ours.reset();
    });
    EXPECT_TRUE(receive_all(left.ours.get()) == reply);
    server.join();
    left.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, TheServerMayCloseItsHalfFirst) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    shutdown(right.ours.get(), SHUT_WR);
    EXPECT_EQ(receive_all(left.ours.get()), "");
    send_all(left.ours.get(), "still heard");
    EXPECT_EQ(receive(right.ours.get(), 11), "still heard");
    left.ours.reset();
    EXPECT_EQ(receive_all(right.ours.get()), "");
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, ManyMegabytesBothWaysAtOnceStayInOrder) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto up = pattern(24 << 20), down = pattern(17 << 20);
    std::thread up_writer(send_and_finish, left.ours.get(), std::cref(up));
    std::thread down_writer(send_and_finish, right.ours.get(), std::cref(down));
    std::optional<std::string> received;
    std::thread reader([&] { received = receive_all(right.ours.get()); });
    EXPECT_TRUE(receive_all(left.ours.get()) == down);
    reader.join();
    up_writer.join();
    down_writer.join();
    EXPECT_TRUE(received == up);
    const auto end = end_of(result);
    EXPECT_EQ(end.end, PumpEnd::Finished);
    EXPECT_EQ(end.a_to_b, up.size());
    EXPECT_EQ(end.b_to_a, down.size());
}

TEST_F(PumpTest, SinglesAndOddSizesPass) {
    open();
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(300'000);
    std::thread writer([&] {
        std::size_t at = 0, size = 1;
        while (at < data.size()) {
            const auto now = std::min(size, data.size() - at);
            send_all(left.ours.get(), std::string_view(data).substr(at, now));
            at += now;
            size = size * 3 % 50'021 + 1;
        }
        shutdown(left.ours.get(), SHUT_WR);
    });
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

// What the writer sends fills all buffers on the way: the last of it is with the pump or its kernel.
// Its kernel drops all that comes, as the network of a machine does that lost its power.
TEST_F(PumpTest, StalledReadersUseUpThePipesAndTheRestStillMoves) {
    open({.pipes = 2, .small_pipes = 2});
    const auto data = pattern(12 << 20);
    struct Flow {
        Pair left = tcp_pair(), right = tcp_pair();
        std::future<PumpResult> result;
        std::thread writer;
    };
    std::vector<std::unique_ptr<Flow>> flows;
    for (int i = 0; i < 8; ++i) {
        auto flow = std::make_unique<Flow>();
        flow->result = start(flow->left, flow->right);
        flow->writer = std::thread(send_and_finish, flow->left.ours.get(), std::cref(data));
        flows.push_back(std::move(flow));
    }
    // The last first, so that those that hold the pipes stay stalled meanwhile.
    for (auto flow = flows.rbegin(); flow != flows.rend(); ++flow) {
        EXPECT_TRUE(receive_all((*flow)->right.ours.get()) == data);
        (*flow)->writer.join();
        (*flow)->right.ours.reset();
        EXPECT_EQ(end_of((*flow)->result).end, PumpEnd::Finished);
    }
}

TEST_F(PumpTest, PlainCopyWhereNoPipeMayBeHad) {
    open({.pipes = 0, .small_pipes = 0});
    auto left = tcp_pair(), right = tcp_pair();
    auto result = start(left, right);
    const auto data = pattern(8 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(right.ours.get()) == data);
    writer.join();
    right.ours.reset();
    EXPECT_EQ(end_of(result).a_to_b, data.size());
}

TEST_F(PumpTest, UnixSocketsToo) {
    open();
    auto left = tcp_pair();
    auto right = unix_pair();
    auto result = start(left, right, "PROXY");
    const auto data = pattern(5 << 20);
    std::thread writer(send_and_finish, left.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(right.ours.get()) == "PROXY" + data);
    writer.join();
    std::thread back(send_and_finish, right.ours.get(), std::cref(data));
    EXPECT_TRUE(receive_all(left.ours.get()) == data);
    back.join();
    EXPECT_EQ(end_of(result).end, PumpEnd::Finished);
}

TEST_F(PumpTest, AnyNumberAtOnceAndStopEndsThem) {
    open();
    std::vector<Pair> pairs;
    std::vector<std::future<PumpResult>> results;
    for (int i = 0; i < 100; ++i) {
        auto left = tcp_pair(), right = tcp_pair();
        results.push_back(start(left, right));
        pairs.push_back(std::move(left));
        pairs.push_back(std::move(right));
    }
    send_all(pairs[0].ours.get(), "a");
    EXPECT_EQ(receive(pairs[1].ours.get(), 1), "a");
    on_loop([this] {
        EXPECT_EQ(pumps_->size(), 100u);
        pumps_->stop(0);
        EXPECT_EQ(pumps_->size(), 0u);
    });
    for (auto& result : results)
        EXPECT_EQ(end_of(result).end, PumpEnd::Stopped);
}

} // namespace
} // namespace p2prc::tunnel
