// Where a connection goes by its first bytes.
#include "edge/router.h"
#include "tunnel/pumps.h"

#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

using namespace p2prc;
using namespace p2prc::edge;

namespace {

struct Carried final : Upstream {
    void on_session(Connection) override {}
    void on_flow(Connection) override {}
    void carry(Connection, const Route& route, const std::string&, std::string_view) override {
        domains.push_back(route.domain);
    }
    std::vector<std::string> domains;
};

class RouterTest : public ::testing::Test {
  protected:
    RouterTest() {
        RouteTable table;
        for (const auto& [domain, tls] : {std::pair{"own.home.example", TlsMode::Passthrough},
                                          std::pair{"app.home.example", TlsMode::Node}}) {
            Route route;
            route.domain = domain;
            route.tls = tls;
            table.routes.push_back(std::move(route));
        }
        std::vector<Rejection> rejected;
        router.set_routes(RouteSnapshot::compile(table, rejected));
        router.set_upstream(&home);
    }
    // A connection of a client whose end the test keeps.
    Connection connection() {
        int ends[2];
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        client.reset(ends[0]);
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        Connection one;
        one.socket.reset(ends[1]);
        return one;
    }
    std::string heard() {
        std::string text(4096, '\0');
        const auto got = recv(client.get(), text.data(), text.size(), MSG_DONTWAIT);
        text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
        return text;
    }
    void hello(const std::string& name, std::vector<std::string> alpn = {}) {
        ClientHello said;
        said.name = name;
        said.alpn = std::move(alpn);
        router.on_hello(connection(), std::move(said));
    }
    std::string ask(Protocol protocol, const std::string& host, const std::string& path) {
        router.on_request(connection(), protocol, {"GET", path, host, ""});
        return heard();
    }

    boost::asio::io_context io{1};
    tunnel::Poller poller{io.get_executor()};
    tunnel::Pumps pumps{poller};
    LingeringClose lingering_close{poller};
    Counters counters;
    Joiner joiner{pumps, lingering_close, counters};
    Dialer dialer{poller, joiner, std::chrono::seconds(1)};
    Router router{{}, dialer, lingering_close, counters};
    Carried home;
    net::UniqueFd client;
};

TEST_F(RouterTest, ACertificateProbeGoesToAnApplicationThatEndsTlsItself) {
    hello("own.home.example", {"acme-tls/1"});
    EXPECT_EQ(home.domains, std::vector<std::string>{"own.home.example"});
    EXPECT_EQ(heard(), "");
}

TEST_F(RouterTest, ACertificateProbeOfANameThatEndsAtTheNodeIsRefused) {
    hello("app.home.example", {"acme-tls/1"});
    EXPECT_TRUE(home.domains.empty());
    EXPECT_EQ(heard(), tls_alert(TlsAlert::UnrecognizedName));
    hello("app.home.example", {"h2", "acme-tls/1"});
    EXPECT_EQ(home.domains.size(), 1u) << "browsers may offer what they like";
}

TEST_F(RouterTest, OnlyWhatIsMappedIsRedirected) {
    for (const auto protocol : {Protocol::Tls, Protocol::Http}) {
        EXPECT_TRUE(ask(protocol, "app.home.example", "/a").starts_with("HTTP/1.1 308 "));
        for (const auto* host : {"elsewhere.example", "other.home.example", ""})
            EXPECT_TRUE(ask(protocol, host, "/a").starts_with("HTTP/1.1 421 ")) << host;
    }
    EXPECT_EQ(counters.redirected, 2u);
    EXPECT_EQ(counters.http_refused, 6u);
}

TEST_F(RouterTest, HttpChallengesAreNotCarried) {
    const auto answer = ask(Protocol::Http, "own.home.example", "/.well-known/acme-challenge/x");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 "));
    EXPECT_NE(answer.find("TLS-ALPN-01"), std::string::npos);
}

} // namespace
