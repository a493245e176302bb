// Who reads how many logs of whom.
#include "daemon/fleet/log_shares.h"
#include "net/event.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using Piece = Result<std::optional<std::string>>;

// Says one line, and nothing more until it is ended.
class Quiet : public link::TextStream {
  public:
    Quiet(const asio::any_io_executor& executor, bool& lives) : event_(executor), lives_(lives) {
        lives_ = true;
    }
    ~Quiet() override { lives_ = false; }
    asio::awaitable<Piece> next() override {
        if (!std::exchange(said_, true)) co_return std::optional<std::string>("a line");
        co_await event_.wait();
        co_return std::optional<std::string>();
    }

  private:
    net::Event event_;
    bool& lives_;
    bool said_ = false;
};

class LogSharesTest : public testing::Test {
  protected:
    using Share = std::shared_ptr<LogShares::Share>;

    bool take(const std::string& reader, const std::string& node) {
        auto share = shares.take(reader, node);
        if (share)
            held.push_back(std::move(*share));
        else
            error = share.error();
        return share.has_value();
    }
    void fill(const std::string& node) {
        for (std::size_t i = 0; i < logs_of_one_node; ++i)
            ASSERT_TRUE(take("reader" + std::to_string(i / logs_of_one_reader), node)) << i;
    }
    void read(link::TextStream& stream) {
        piece.reset();
        asio::co_spawn(loop, stream.next(), [this](const std::exception_ptr&, Piece got) { piece = got; });
        loop.restart();
        loop.poll();
    }

    asio::io_context loop;
    LogShares shares{loop.get_executor()};
    std::vector<Share> held;
    std::optional<Piece> piece;
    Error error;
};

TEST_F(LogSharesTest, AReaderHasItsShareOfAllNodesTogether) {
    for (std::size_t i = 0; i < logs_of_one_reader; ++i)
        EXPECT_TRUE(take("cellar", "node" + std::to_string(i)));
    EXPECT_FALSE(take("cellar", "another"));
    EXPECT_THAT(error.message, testing::HasSubstr("'cellar' reads 8 logs"));
    EXPECT_TRUE(take("attic", "node0"));
    held.erase(held.begin());
    EXPECT_TRUE(take("cellar", "another")) << "one has ended";
    for (std::size_t i = 0; i < 2 * logs_of_one_reader; ++i)
        EXPECT_TRUE(take("", "node" + std::to_string(i))) << "users of this machine";
}

TEST_F(LogSharesTest, TheBiggestReaderMakesRoom) {
    bool lives = false;
    fill("victim");
    const auto own = shares.take("", "other");
    ASSERT_TRUE(own);
    auto stream = shares.hold(std::make_unique<Quiet>(loop.get_executor(), lives), held[7]);
    read(*stream);
    ASSERT_TRUE(piece && *piece);
    EXPECT_EQ(**piece, "a line");
    read(*stream);
    EXPECT_FALSE(piece) << "it waits";
    ASSERT_TRUE(take("newcomer", "victim"));
    loop.restart();
    loop.poll();
    ASSERT_TRUE(piece) << "the last one of the first of the biggest";
    EXPECT_FALSE(*piece);
    EXPECT_THAT(piece->error().message, testing::HasSubstr("was ended for another node"));
    stream.reset();
    loop.restart();
    loop.poll();
    EXPECT_FALSE(lives) << "its source is let go of";
    EXPECT_TRUE(take("", "victim"));
}

TEST_F(LogSharesTest, NobodyMakesRoomForOneWhoHasAsMuch) {
    fill("victim");
    while (take("reader4", "victim")) {
    }
    EXPECT_THAT(error.message, testing::HasSubstr("read already, which is the most"));
    std::size_t places = held.size();
    EXPECT_FALSE(take("reader4", "victim"));
    EXPECT_EQ(held.size(), places);
}

TEST_F(LogSharesTest, OneThatIsEndedMeanwhileSaysSoWhenItIsRead) {
    bool lives = false;
    fill("victim");
    ASSERT_TRUE(take("newcomer", "victim"));
    const auto stream = shares.hold(std::make_unique<Quiet>(loop.get_executor(), lives), held[7]);
    read(*stream);
    ASSERT_TRUE(piece);
    EXPECT_FALSE(*piece);
}

} // namespace
} // namespace p2prc::daemon
