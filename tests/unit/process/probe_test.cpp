// Probes of a process, with servers on real sockets.
#include "net/fd.h"
#include "net/sockaddr.h"
#include "process/http_status.h"
#include "process/port_target.h"
#include "process/probe.h"
#include "tests/unit/process/fake_systemd.h"
#include "tests/unit/support/eventually.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <optional>
#include <thread>

namespace p2prc::process {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

TEST(HttpStatus, IsReadStrictly) {
    struct Line {
        std::string_view text;
        StatusRead read;
        int code = 0;
        std::string_view phrase = {};
    };
    const std::string long_phrase(longest_status_line, 'x');
    const std::string endless = "HTTP/1.1 200 " + long_phrase;
    using enum StatusRead;
    for (const auto& line :
         {Line{"HTTP/1.1 200 OK\r\nX: y\r\n", Done, 200, "OK"},
          Line{"HTTP/1.0 404 Not Found\n", Done, 404, "Not Found"}, Line{"HTTP/1.1 204 \r\n", Done, 204},
          Line{"HTTP/1.1 204\r\n", Done, 204}, Line{"HTTP/1.1 503 Se\xc3\xa4", NeedMore}, Line{"", NeedMore},
          Line{"HTTP/1.1 200 OK\r", NeedMore}, Line{"HTTP/1.1 200 OK\rX\n", Malformed},
          Line{"HTTP/1.1 20\r\n", Malformed}, Line{"HTTP/1.1 2000 OK\r\n", Malformed},
          Line{"HTTP/1.1 600 Odd\r\n", Malformed}, Line{"HTTP/1.1 2x0 OK\r\n", Malformed},
          Line{"HTTP/1.1  200 OK\r\n", Malformed}, Line{"HTTP/2 200\r\n", Malformed},
          Line{"http/1.1 200 OK\r\n", Malformed}, Line{"HTTP/1.1 200 O\x01K\r\n", Malformed},
          Line{"\r\n", Malformed}, Line{"SSH-2.0-OpenSSH\r\n", Malformed}, Line{endless, Malformed}}) {
        HttpStatus status;
        EXPECT_EQ(static_cast<int>(read_http_status(line.text, status)), static_cast<int>(line.read))
            << line.text;
        EXPECT_EQ(status.code, line.code) << line.text;
        EXPECT_EQ(status.phrase, line.phrase) << line.text;
    }
}

// Listens on 127.0.0.1 and does with one connection what it is told, on a thread of its own.
class Server {
  public:
    explicit Server(std::function<void(int connection)> serve) {
        listening_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_storage name{};
        const auto size = net::to_sockaddr({net::Address::v4({127, 0, 0, 1}), 0}, name);
        EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
        EXPECT_EQ(::listen(listening_.get(), 4), 0);
        endpoint = net::local_endpoint(listening_.get());
        thread_ = std::thread([this, serve = std::move(serve)] {
            const net::UniqueFd connection(::accept(listening_.get(), nullptr, nullptr));
            if (connection) serve(connection.get());
        });
    }
    ~Server() {
        ::shutdown(listening_.get(), SHUT_RDWR);
        thread_.join();
    }

    net::Endpoint endpoint;

  private:
    net::UniqueFd listening_;
    std::thread thread_;
};

void say(int connection, std::string_view words) {
    (void)::send(connection, words.data(), words.size(), MSG_NOSIGNAL);
}

std::string hear(int connection) {
    std::string heard;
    std::array<char, 4096> buffer{};
    while (!heard.ends_with("\r\n\r\n")) {
        const auto size = ::recv(connection, buffer.data(), buffer.size(), 0);
        if (size <= 0) break;
        heard.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return heard;
}

class ProbeTest : public testing::Test {
  protected:
    template <class T>
    T run(asio::awaitable<T> work) {
        std::optional<T> result;
        asio::co_spawn(loop, std::move(work), [&](const std::exception_ptr& thrown, T value) {
            EXPECT_FALSE(thrown);
            result = std::move(value);
        });
        loop.restart();
        EXPECT_TRUE(test::eventually(loop, [&] { return result.has_value(); }));
        return std::move(*result);
    }

    ProbeAnswer ask(std::string answer, std::chrono::milliseconds timeout = 30s) {
        Server server([&](int connection) {
            heard = hear(connection);
            say(connection, answer);
        });
        return run(probe_http(server.endpoint, {}, "/health", timeout));
    }

    asio::io_context loop;
    std::string heard;
};

TEST_F(ProbeTest, AGoodAnswerIsGood) {
    const auto answer = ask("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_TRUE(answer.good());
    EXPECT_EQ(answer.words, "GET /health: 200 OK");
    EXPECT_THAT(heard, StartsWith("GET /health HTTP/1.1\r\nHost: localhost\r\n"));
    EXPECT_THAT(heard, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_TRUE(ask("HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n").good());
}

TEST_F(ProbeTest, OtherStatusesAreBad) {
    const auto answer = ask("HTTP/1.1 503 Warming\x1b[31m up\r\n\r\n");
    EXPECT_TRUE(answer.bad()) << "ESC is not HTTP";
    const auto plain = ask("HTTP/1.1 503 Warming up\r\n\r\n");
    EXPECT_TRUE(plain.bad());
    EXPECT_EQ(plain.words, "GET /health: 503 Warming up");
    EXPECT_TRUE(ask("HTTP/1.1 404 Not Found\r\n\r\n").bad());
    EXPECT_TRUE(ask("HTTP/1.1 500\r\n\r\n").bad());
}

TEST_F(ProbeTest, WhatIsNotHttpIsBad) {
    const auto answer = ask("SSH-2.0-OpenSSH_9.2\r\n");
    EXPECT_TRUE(answer.bad());
    EXPECT_THAT(answer.words, HasSubstr("the answer is not HTTP: SSH-2.0"));
    EXPECT_EQ(ask("").words, "GET /health: it closed the connection without an answer");
    EXPECT_EQ(ask("HTTP/1.1 20").words, "GET /health: it closed the connection without an answer");
}

TEST_F(ProbeTest, AStatusLineWithoutEndIsBad) {
    Server server([](int connection) {
        say(connection, "HTTP/1.1 200 ");
        const std::string more(4096, 'x');
        while (::send(connection, more.data(), more.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    const auto answer = run(probe_http(server.endpoint, {}, "/", 30s));
    EXPECT_TRUE(answer.bad());
    EXPECT_THAT(answer.words, HasSubstr("is not HTTP"));
}

TEST_F(ProbeTest, AHeaderWithoutEndDoesNotHoldItUp) {
    Server server([](int connection) {
        say(connection, "HTTP/1.1 200 OK\r\n");
        const std::string more = "X: " + std::string(4093, 'x');
        while (::send(connection, more.data(), more.size(), MSG_NOSIGNAL) > 0) {
        }
    });
    EXPECT_TRUE(run(probe_http(server.endpoint, {}, "/", 30s)).good());
}

TEST_F(ProbeTest, NoAnswerEndsWithItsTime) {
    Server server([](int connection) {
        hear(connection);
        hear(connection); // until the other side closes
    });
    const auto answer = run(probe_http(server.endpoint, {}, "/", 300ms));
    EXPECT_TRUE(answer.bad());
    EXPECT_EQ(answer.words, "GET /: no answer within 0.3 s");
}

TEST_F(ProbeTest, ASlowDripEndsWithItsTime) {
    Server server([](int connection) {
        hear(connection);
        for (const char letter : std::string_view("HTTP/1.1 200 OK and so on and on and on and on")) {
            say(connection, {&letter, 1});
            std::this_thread::sleep_for(50ms);
        }
    });
    const auto answer = run(probe_http(server.endpoint, {}, "/", 300ms));
    EXPECT_TRUE(answer.bad());
    EXPECT_EQ(answer.words, "GET /: no whole answer within 0.3 s");
}

TEST_F(ProbeTest, NobodyThereIsBad) {
    net::Endpoint gone;
    {
        Server server([](int) {});
        gone = server.endpoint;
    }
    const auto answer = run(probe_http(gone, {}, "/", 30s));
    EXPECT_TRUE(answer.bad());
    EXPECT_THAT(answer.words, HasSubstr("Connection refused"));
}

// The port may have changed hands since it was looked for.
TEST_F(ProbeTest, AnothersSocketIsNotAsked) {
    std::string asked = "nothing";
    Server server([&](int connection) { asked = hear(connection); });
    const auto listeners = net::tcp_listeners();
    ASSERT_TRUE(listeners);
    const auto own = std::ranges::find(*listeners, server.endpoint.port, &net::Listener::port);
    ASSERT_NE(own, listeners->end());
    if (own->cgroup != 0) {
        const auto answer = run(probe_http(server.endpoint, {own->cgroup + 1}, "/", 30s));
        EXPECT_TRUE(answer.bad());
        EXPECT_THAT(answer.words, HasSubstr("is not its own any more"));
    }
}

// Runs each unit to its end.
class OneShots : public FakeSystemd {
  public:
    Word start_transient(std::string unit, TransientUnit content, JobShare share) override {
        ran.push_back(unit);
        last = std::move(content);
        shares[unit] = std::move(share);
        if (refuse) co_return std::unexpected(*refuse);
        co_return result;
    }

    std::vector<std::string> ran;
    TransientUnit last;
    std::string result = "done";
    std::optional<Error> refuse;
};

TEST_F(ProbeTest, ACommandAnswersByItsExitStatus) {
    OneShots systemd;
    const LastLine words = [](std::string unit, std::uint64_t) -> asio::awaitable<std::string> {
        co_return unit == "p2prcd-probe-db.service" ? "no response\x07" : "";
    };
    const auto ask = [&](const LastLine& line) {
        return run(probe_command(systemd, "db", TransientUnit(), {JobShare::Kind::Probes, "db"}, line));
    };
    EXPECT_TRUE(ask(words).good());
    EXPECT_EQ(systemd.ran.front(), "p2prcd-probe-db.service");
    EXPECT_EQ(systemd.shares.begin()->second, (JobShare{JobShare::Kind::Probes, "db"}));
    systemd.result = "failed";
    EXPECT_TRUE(ask(words).bad());
    EXPECT_EQ(ask(words).words, "the command failed: no response\xef\xbf\xbd");
    EXPECT_EQ(ask({}).words, "the command failed");
    systemd.result = "canceled";
    EXPECT_EQ(static_cast<int>(ask(words).verdict), static_cast<int>(ProbeAnswer::Verdict::Unknown));
    systemd.refuse = Error{ErrorCode::Unreachable, "systemd left the bus during a job"};
    EXPECT_EQ(static_cast<int>(ask(words).verdict), static_cast<int>(ProbeAnswer::Verdict::Unknown));
}

} // namespace
} // namespace p2prc::process
