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

Page about(Trouble trouble) {
    return {trouble, "app.home.example"};
}

std::string asked(std::string_view accept, Trouble trouble = Trouble::Stopped) {
    return error_page("GET / HTTP/1.1\r\nHost: a\r\n" + std::string(accept) + "\r\n", about(trouble))
        .value_or("");
}

TEST(ErrorPage, IsAWholeResponse) {
    const auto page = asked("Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n");
    EXPECT_THAT(page, testing::StartsWith("HTTP/1.1 503 Service Unavailable\r\n"));
    EXPECT_THAT(page, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
    EXPECT_THAT(page, HasSubstr("Cache-Control: no-store\r\n"));
    EXPECT_THAT(page, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(page, HasSubstr("<h1>app.home.example is switched off</h1>"));
    const std::size_t body = page.find("\r\n\r\n") + 4;
    EXPECT_THAT(page, HasSubstr("Content-Length: " + std::to_string(page.size() - body) + "\r\n"));
    EXPECT_THAT(*error_page("POST /x?y HTTP/1.0\nHost: a\n\n", about(Trouble::NoAnswer)),
                testing::StartsWith("HTTP/1.1 502 Bad Gateway"));
    EXPECT_THAT(*error_page("HEAD / HTTP/1.1\r\n\r\n", about(Trouble::NoAnswer)),
                testing::EndsWith("\r\n\r\n"));
}

TEST(ErrorPage, SaysWhatIsWrongAndWhenToComeBack) {
    EXPECT_THAT(asked("", Trouble::Starting), HasSubstr("Retry-After: 5\r\n"));
    EXPECT_THAT(asked("", Trouble::Starting), HasSubstr("is starting"));
    for (const auto trouble : {Trouble::Stopped, Trouble::Failed, Trouble::NoAnswer})
        EXPECT_THAT(asked("", trouble), testing::Not(HasSubstr("Retry-After"))) << static_cast<int>(trouble);
    EXPECT_THAT(asked("", Trouble::Failed), testing::StartsWith("HTTP/1.1 503 "));
    EXPECT_THAT(asked("", Trouble::Failed), HasSubstr("is out of order"));
    EXPECT_THAT(asked("Accept: text/html\r\n", Trouble::Starting), HasSubstr("http-equiv=\"refresh\""));
    EXPECT_THAT(*error_page("POST / HTTP/1.1\r\nAccept: text/html\r\n\r\n", about(Trouble::Starting)),
                testing::Not(HasSubstr("refresh")));
}

TEST(ErrorPage, HasTheFormThatIsAskedFor) {
    const auto html = HasSubstr("text/html"), json = HasSubstr("application/json"),
               text = HasSubstr("text/plain");
    EXPECT_THAT(asked(""), text);
    EXPECT_THAT(asked(""),
                testing::EndsWith("\r\n\r\napp.home.example is switched off. Whoever runs it has stopped it. "
                                  "Please try again later.\n"));
    EXPECT_THAT(asked("Accept: */*\r\n"), text);
    EXPECT_THAT(asked("aCCept:text/HTML\r\n"), html);
    EXPECT_THAT(asked("Accept: image/png\r\nAccept: text/html;level=1\r\n"), html);
    EXPECT_THAT(asked("Accept: text/html;q=0.0, application/json\r\n"), json);
    EXPECT_THAT(asked("Accept: application/json\r\n"),
                HasSubstr("{\"error\":\"stopped\",\"message\":\"app.home.example is"));
    EXPECT_THAT(asked("X-Accept: text/html\r\nAccept-Language: text/html\r\nAccept: ;;,,q=\r\n"), text);
    // Only the head counts.
    EXPECT_THAT(*error_page("POST / HTTP/1.1\r\n\r\nAccept: text/html\r\n\r\n", about(Trouble::Stopped)),
                text);
}

TEST(ErrorPage, RepeatsNothingThatCouldBeMarkup) {
    const auto page = error_page("GET /<script> HTTP/1.1\r\nAccept: text/html\r\nHost: <b>\r\n\r\n",
                                 {Trouble::Stopped, "\"<script>"});
    ASSERT_TRUE(page);
    EXPECT_THAT(*page, testing::Not(HasSubstr("script")));
    EXPECT_THAT(*page, testing::Not(HasSubstr("<b>")));
    EXPECT_THAT(*page, HasSubstr("This service is switched off"));
}

TEST(ErrorPage, WaitsForTheHeadAndAnswersHttpAlone) {
    const Page page = about(Trouble::NoAnswer);
    EXPECT_FALSE(error_page("", page));
    EXPECT_FALSE(error_page("GET / HTTP/1.1", page));
    EXPECT_FALSE(error_page("GET / HTTP/1.1\r\nHost: a\r\n", page));
    for (const std::string_view other :
         {"\x16\x03\x01\n", "SSH-2.0-OpenSSH\r\n", "GET\n", " / HTTP/1.1\n", "GET /\n", "GET / HTTP/2.0\n",
          "GET / HTTP/1.10\n", "G\x01T / HTTP/1.1\n", "HTTP/1.1 GET /\n", "\n"})
        EXPECT_EQ(error_page(other, page), "") << other;
}

class ServedPage : public testing::Test {
  protected:
    explicit ServedPage(std::chrono::milliseconds timeout = 60s)
        : options{.timeout = timeout, .longest_head = 4096, .most_drained = 8192} {
        std::array<int, 2> ends{};
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
        client.reset(ends[0]);
        boost::asio::co_spawn(io, serve_error_page(net::UniqueFd(ends[1]), about(Trouble::Stopped), options),
                              net::ReportFailure("a page"));
    }
    void say(std::string_view text) {
        EXPECT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    void finish() { ::shutdown(client.get(), SHUT_WR); }
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
    finish();
    EXPECT_THAT(hear(), testing::EndsWith("try again later.\n"));
}

TEST_F(HastyPage, EndsWithWhoeverSaysNothing) {
    EXPECT_EQ(hear(), "");
}

TEST_F(HastyPage, EndsWithAHeadThatDoesNotEnd) {
    say("GET / HTTP/1.1\r\nX: " + std::string(8000, 'x'));
    EXPECT_EQ(hear(), "");
}

// The client must see the end of the stream, which becomes close_notify, and not a reset.
TEST_F(ServedPage, EndsCleanlyForWhoeverDoesNotSpeakHttp) {
    say("EHLO me\r\n" + std::string(6000, 'x'));
    std::array<char, 16> buffer;
    ssize_t got = -1;
    do {
        if (io.run_one_for(60s) == 0) break;
        got = ::recv(client.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    } while (got < 0 && errno == EAGAIN);
    EXPECT_EQ(got, 0) << errno;
    finish();
    EXPECT_EQ(hear(), "");
}

} // namespace
