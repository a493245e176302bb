#include "connector/error_page.h"
#include "connector/http_page.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <sys/socket.h>

using namespace p2prc;
using namespace p2prc::connector;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

TEST(ErrorPage, IsAWholeResponse) {
    const auto page = error_page("GET / HTTP/1.1\r\nHost: app.home.example\r\n\r\n", 503);
    ASSERT_TRUE(page);
    EXPECT_THAT(*page, testing::StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
    EXPECT_THAT(*page, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(*page, HasSubstr("not running"));
    const std::size_t body = page->find("\r\n\r\n") + 4;
    EXPECT_THAT(*page, HasSubstr("Content-Length: " + std::to_string(page->size() - body) + "\r\n"));
    EXPECT_THAT(*error_page("POST /x?y HTTP/1.0\nHost: a\n\n", 502),
                testing::StartsWith("HTTP/1.1 502 Bad Gateway"));
    EXPECT_THAT(*error_page("HEAD / HTTP/1.1\r\n\r\n", 502), testing::EndsWith("\r\n\r\n"));
}

TEST(ErrorPage, WaitsForTheHeadAndAnswersHttpAlone) {
    EXPECT_FALSE(error_page("", 502));
    EXPECT_FALSE(error_page("GET / HTTP/1.1", 502));
    EXPECT_FALSE(error_page("GET / HTTP/1.1\r\nHost: a\r\n", 502));
    for (const std::string_view other :
         {"\x16\x03\x01\n", "SSH-2.0-OpenSSH\r\n", "GET\n", " / HTTP/1.1\n", "GET /\n", "GET / HTTP/2.0\n",
          "GET / HTTP/1.10\n", "G\x01T / HTTP/1.1\n", "HTTP/1.1 GET /\n", "\n"})
        EXPECT_EQ(error_page(other, 502), "") << other;
}

class ServedPage : public testing::Test {
  protected:
    explicit ServedPage(std::chrono::milliseconds timeout = 60s)
        : options{.timeout = timeout, .longest_head = 4096, .most_drained = 8192} {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        client.reset(ends[0]);
        boost::asio::co_spawn(io, serve_error_page(net::UniqueFd(ends[1]), 503, options),
                              net::ReportFailure("a page"));
    }
    void say(std::string_view text) {
        EXPECT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    // What comes until the end.
    std::string hear() {
        io.run_for(60s); // until it has ended
        std::string text;
        std::array<char, 4096> buffer;
        for (ssize_t size; (size = ::recv(client.get(), buffer.data(), buffer.size(), 0)) > 0;)
            text.append(buffer.data(), static_cast<std::size_t>(size));
        return text;
    }
    ErrorPageOptions options;
    boost::asio::io_context io;
    net::UniqueFd client;
};

class HastyPage : public ServedPage {
  protected:
    HastyPage() : ServedPage(200ms) {}
};

TEST_F(ServedPage, ComesAlthoughTheRequestHasABody) {
    say("POST / HTTP/1.1\r\nContent-Length: 4000\r\n\r\n" + std::string(4000, 'x'));
    EXPECT_THAT(hear(), testing::EndsWith("</html>\n"));
}

TEST_F(HastyPage, EndsWithWhoeverSaysNothing) {
    EXPECT_EQ(hear(), "");
}

TEST_F(HastyPage, EndsWithAHeadThatDoesNotEnd) {
    say("GET / HTTP/1.1\r\nX: " + std::string(8000, 'x'));
    EXPECT_EQ(hear(), "");
}

} // namespace
