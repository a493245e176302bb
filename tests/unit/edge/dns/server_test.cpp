#include "edge/dns/server.h"
#include "message.h"
#include "tests/unit/net/temporary_directory.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

namespace p2prc::edge::dns::testing {
namespace {

using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using boost::asio::ip::udp;

RouteTable table_with(std::vector<std::string> names, std::uint64_t revision) {
    RouteTable table;
    table.revision = revision;
    table.zones.push_back({"home.example", {"192.0.2.1"}, "", "", {}});
    for (std::string& name : names)
        table.routes.push_back({std::move(name)});
    return table;
}

// A server on its own thread; calls to it are made on that thread.
class Running {
  public:
    template <class F>
    auto with(F call) {
        std::packaged_task<decltype(call())()> task(std::move(call));
        auto result = task.get_future();
        boost::asio::post(context_, [&task] { task(); });
        return result.get();
    }
    explicit Running(Options options = {}, std::vector<const char*> at = {"127.0.0.1:0"}) {
        server_ = std::make_unique<Server>(context_.get_executor(), std::move(options));
        EXPECT_TRUE(server_->publish(table_with({"app.home.example"}, 1)).empty());
        std::vector<net::Endpoint> endpoints;
        for (const char* text : at)
            endpoints.push_back(*net::Endpoint::parse(text));
        // The kernel gives UDP a free port; somebody may have the same one for TCP, so another is asked for.
        auto listening = server_->listen(endpoints);
        for (int tries = 0; !listening && tries < 50; ++tries)
            listening = server_->listen(endpoints);
        if (!listening) ADD_FAILURE() << listening.error().message;
        endpoints_ = server_->endpoints();
        thread_ = std::thread([this] { context_.run(); });
    }
    ~Running() {
        with([this] { server_.reset(); });
        guard_.reset();
        thread_.join();
    }
    Server& server() { return *server_; }
    std::uint16_t port(std::size_t i = 0) const { return endpoints_[i].port; }

  private:
    boost::asio::io_context context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{context_.get_executor()};
    std::unique_ptr<Server> server_;
    std::vector<net::Endpoint> endpoints_;
    std::thread thread_;
};

class UdpClient {
  public:
    explicit UdpClient(std::uint16_t port, const char* address = "127.0.0.1")
        : socket_(context_)
        , to_(boost::asio::ip::make_address(address), port) {
        socket_.open(to_.protocol());
        const timeval patience{20, 0};
        setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    void send(const Wire& bytes) { socket_.send_to(boost::asio::buffer(bytes), to_); }
    Wire receive() {
        Wire bytes(2000);
        bytes.resize(socket_.receive_from(boost::asio::buffer(bytes), from_));
        EXPECT_EQ(from_, to_);
        return bytes;
    }
    Message ask(const Query& query) {
        send(make_query(query));
        return read_message(receive());
    }

  private:
    boost::asio::io_context context_;
    udp::socket socket_;
    udp::endpoint to_, from_;
};

class TcpClient {
  public:
    explicit TcpClient(std::uint16_t port) : socket_(context_) {
        socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
        const timeval patience{20, 0};
        setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    void send(const Wire& bytes) { boost::asio::write(socket_, boost::asio::buffer(bytes)); }
    Message receive() {
        Wire length(2);
        boost::asio::read(socket_, boost::asio::buffer(length));
        Wire bytes(static_cast<std::size_t>(length[0] << 8 | length[1]));
        boost::asio::read(socket_, boost::asio::buffer(bytes));
        return read_message(bytes);
    }
    bool closed() {
        Wire byte(1);
        boost::system::error_code error;
        socket_.read_some(boost::asio::buffer(byte), error);
        return error == boost::asio::error::eof || error == boost::asio::error::connection_reset;
    }

  private:
    boost::asio::io_context context_;
    tcp::socket socket_;
};

Wire framed(const Wire& message) {
    Wire bytes{static_cast<std::uint8_t>(message.size() >> 8), static_cast<std::uint8_t>(message.size())};
    bytes.insert(bytes.end(), message.begin(), message.end());
    return bytes;
}

TEST(ServerUdp, AnswersABurstFromEachAddressThatWasAsked) {
    Running running({}, {"127.0.0.1:0", "127.0.0.2:0", "[::1]:0"});
    const char* addresses[] = {"127.0.0.1", "127.0.0.2", "::1"};
    for (std::size_t i = 0; i < 3; ++i) {
        UdpClient client(running.port(i), addresses[i]);
        for (std::uint16_t id = 0; id < 200; ++id)
            client.send(make_query({"app.home.example", type::A, std::nullopt, 0, id}));
        for (std::uint16_t id = 0; id < 200; ++id)
            EXPECT_EQ(read_message(client.receive()).sections[0].size(), 1u);
    }
}

TEST(ServerUdp, GoesOnAfterHostileDatagrams) {
    Running running;
    UdpClient client(running.port());
    client.send({});
    client.send({1, 2, 3});
    Wire response = make_query({"app.home.example"});
    response[2] |= 0x80;
    client.send(response);
    client.send(Wire(9000, 0xff));
    Wire huge = make_query({"app.home.example"});
    huge.resize(9000);
    client.send(huge);
    const Message formerr = read_message(client.receive());
    EXPECT_EQ(formerr.rcode(), 1);
    EXPECT_EQ(client.ask({"app.home.example"}).rcode(), 0);
    const Counters counters = running.with([&] { return running.server().counters(); });
    EXPECT_EQ(counters.udp_queries, 6u);
    EXPECT_EQ(counters.dropped, 4u); // 0xff... has QR set
}

TEST(ServerTcp, PipelinesAndReassembles) {
    Running running;
    TcpClient client(running.port());
    Wire many;
    for (std::uint16_t id = 0; id < 100; ++id) {
        const Wire one = framed(make_query({"app.home.example", type::A, std::nullopt, 0, id}));
        many.insert(many.end(), one.begin(), one.end());
    }
    client.send(many);
    for (std::uint16_t id = 0; id < 100; ++id)
        EXPECT_EQ(client.receive().id, id);
    for (const std::uint8_t byte : framed(make_query({"app.home.example"})))
        client.send({byte});
    EXPECT_EQ(client.receive().sections[0].size(), 1u);
    Wire large = make_query({"app.home.example"});
    large.resize(60000); // trailing bytes: answered all the same
    client.send(framed(large));
    EXPECT_EQ(client.receive().rcode(), 1);
    client.send({0, 0}); // an empty message has no answer
    client.send(framed(make_query({"app.home.example"})));
    EXPECT_EQ(client.receive().rcode(), 0);
}

TEST(ServerTcp, ClosesIdleConnectionsAlsoTricklingOnes) {
    Options options;
    options.tcp.idle = 200ms;
    Running running(std::move(options));
    TcpClient silent(running.port());
    TcpClient trickling(running.port());
    trickling.send({0, 40, 1});
    EXPECT_TRUE(silent.closed());
    EXPECT_TRUE(trickling.closed());
    EXPECT_EQ(running.with([&] { return running.server().counters().tcp_open; }), 0u);
}

TEST(ServerTcp, OfAnAddressThatHasItsShareTheLongestIdleMakesRoom) {
    Options options;
    options.tcp.connections = 3;
    options.tcp.per_address = 2;
    Running running(std::move(options));
    TcpClient first(running.port()), second(running.port());
    first.send(framed(make_query({"app.home.example"})));
    first.receive();
    second.send(framed(make_query({"app.home.example"})));
    second.receive();
    TcpClient third(running.port());
    third.send(framed(make_query({"app.home.example"})));
    EXPECT_EQ(third.receive().rcode(), 0);
    EXPECT_TRUE(first.closed());
    second.send(framed(make_query({"app.home.example"})));
    EXPECT_EQ(second.receive().rcode(), 0);
    EXPECT_EQ(running.with([&] { return running.server().counters().tcp_refused; }), 1u);
}

TEST(ServerTcp, TheLongestIdleMakesRoom) {
    Options options;
    options.tcp.connections = 2;
    Running running(std::move(options));
    TcpClient first(running.port()), second(running.port());
    first.send(framed(make_query({"app.home.example"})));
    first.receive();
    second.send(framed(make_query({"app.home.example"})));
    second.receive();
    TcpClient third(running.port());
    third.send(framed(make_query({"app.home.example"})));
    EXPECT_EQ(third.receive().rcode(), 0);
    EXPECT_TRUE(first.closed());
}

TEST(ServerPublish, CoalescesChangesIntoOneSerial) {
    Options options;
    options.coalesce = 50ms;
    Running running(std::move(options));
    UdpClient client(running.port());
    const auto serial = [&] {
        return client.ask({"home.example", type::SOA}).sections[0][0].rdata.end()[-17];
    };
    EXPECT_EQ(serial(), 1);
    running.with([&] {
        for (std::uint64_t i = 2; i < 12; ++i)
            EXPECT_TRUE(
                running.server().publish(table_with({"n" + std::to_string(i) + ".home.example"}, i)).empty());
    });
    while (client.ask({"n11.home.example"}).rcode() != 0)
        std::this_thread::sleep_for(5ms);
    EXPECT_EQ(serial(), 11);
    EXPECT_EQ(client.ask({"app.home.example"}).rcode(), 3);
}

TEST(ServerPublish, AZoneThatIsRefusedStaysAsItWas) {
    Running running;
    UdpClient client(running.port());
    RouteTable bad = table_with({"x.home.example"}, 2);
    bad.zones[0].file_text = "a A 192.0.2.1\na CNAME b\n";
    bad.zones[0].file_name = "bad.zone";
    const auto rejected = running.with([&] { return running.server().publish(bad); });
    ASSERT_EQ(rejected.size(), 1u);
    EXPECT_THAT(rejected[0].reason, ::testing::HasSubstr("bad.zone:2"));
    while (client.ask({"x.home.example"}).rcode() != 0)
        std::this_thread::sleep_for(5ms);
    EXPECT_EQ(client.ask({"a.home.example"}).rcode(), 3);
}

TEST(ServerPublish, TellsWhatFailsLater) {
    const net::TemporaryDirectory temporary;
    const auto& directory = temporary.path();
    std::promise<std::string> told;
    Options options;
    options.coalesce = 1ms;
    options.state_file = directory / "serials";
    options.on_error = [&](const Error& error) { told.set_value(error.message); };
    Running running(std::move(options));
    std::filesystem::remove_all(directory);
    running.with([&] { EXPECT_TRUE(running.server().publish(table_with({"x.home.example"}, 2)).empty()); });
    EXPECT_FALSE(told.get_future().get().empty());
    EXPECT_EQ(UdpClient(running.port()).ask({"app.home.example"}).rcode(), 0);
}

TEST(ServerPublish, ServesWhatFailedAsSoonAsItCan) {
    const net::TemporaryDirectory temporary;
    const auto& directory = temporary.path();
    std::atomic<int> told = 0;
    Options options;
    options.state_file = directory / "serials";
    options.retry = 10ms;
    options.on_error = [&](const Error&) { ++told; };
    Running running(std::move(options));
    UdpClient client(running.port());
    std::filesystem::remove_all(directory);
    running.with([&] { EXPECT_TRUE(running.server().publish(table_with({"new.home.example"}, 2)).empty()); });
    while (told == 0)
        std::this_thread::sleep_for(5ms);
    EXPECT_EQ(client.ask({"new.home.example"}).rcode(), 3);
    std::filesystem::create_directory(directory);
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (client.ask({"new.home.example"}).rcode() != 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(5ms);
    EXPECT_EQ(client.ask({"new.home.example"}).rcode(), 0);
    EXPECT_EQ(told, 1) << "the same failure is told once";
}

TEST(ServerPublish, SerialsThatCannotBeReadDoNotRefuseTheTable) {
    const net::TemporaryDirectory temporary;
    const auto& directory = temporary.path();
    std::ofstream(directory / "serials") << "nonsense\n";
    std::atomic<int> told = 0;
    Options options;
    options.state_file = directory / "serials";
    options.retry = 10ms;
    options.on_error = [&](const Error&) { ++told; };
    Running running(std::move(options));
    EXPECT_EQ(told, 1);
    UdpClient client(running.port());
    EXPECT_EQ(client.ask({"app.home.example"}).rcode(), 5);
    std::filesystem::remove(directory / "serials");
    const auto end = std::chrono::steady_clock::now() + 10s;
    while (client.ask({"app.home.example"}).rcode() != 0 && std::chrono::steady_clock::now() < end)
        std::this_thread::sleep_for(5ms);
    EXPECT_EQ(client.ask({"app.home.example"}).rcode(), 0);
}

TEST(ServerListen, NeverOnAWildcard) {
    boost::asio::io_context context;
    Server server(context.get_executor(), {});
    for (const char* text : {"0.0.0.0:0", "[::]:0"}) {
        const net::Endpoint endpoint = *net::Endpoint::parse(text);
        EXPECT_FALSE(server.listen({&endpoint, 1})) << text;
    }
}

TEST(ServerListen, RebindsAsAddressesComeAndGo) {
    Running running({}, {"127.0.0.1:0"});
    const std::vector<net::Endpoint> other{*net::Endpoint::parse("127.0.0.3:0")};
    const auto now = running.with([&] {
        EXPECT_TRUE(running.server().rebind(other));
        return running.server().endpoints();
    });
    ASSERT_EQ(now.size(), 1u);
    EXPECT_EQ(UdpClient(now[0].port, "127.0.0.3").ask({"app.home.example"}).rcode(), 0);
    // 192.0.2.0/24 is nobody's: it fails, and the rest is served.
    const std::vector<net::Endpoint> both{*net::Endpoint::parse("192.0.2.77:0"), other[0]};
    running.with([&] {
        EXPECT_FALSE(running.server().rebind(both));
        EXPECT_EQ(running.server().endpoints(), now);
    });
}

} // namespace
} // namespace p2prc::edge::dns::testing
