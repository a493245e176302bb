// Look-up of names, limits by address, and the configuration file.
#include "edge/command_line.h"
#include "edge/config.h"
#include "edge/listen/admission.h"
#include "edge/routes/snapshot.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

namespace p2prc::edge {
namespace {

Route route(std::string domain, std::string to) {
    Route made;
    made.domain = std::move(domain);
    made.to = std::move(to);
    return made;
}

TEST(RouteSnapshot, ExactBeforeWildcardAndOneLabelOnly) {
    RouteTable table;
    table.routes = {route("*.home.example", "127.0.0.1:1"), route("app.home.example", "127.0.0.1:2"),
                    route("*.deep.home.example", "[::1]:3"), route("tunnel.home.example", "")};
    std::vector<Rejection> rejected;
    const auto snapshot = RouteSnapshot::compile(table, rejected);
    EXPECT_TRUE(rejected.empty());
    const auto to = [&](std::string_view name) {
        const auto* found = snapshot->find(name);
        return found ? found->route.to : "nothing";
    };
    EXPECT_EQ(to("app.home.example"), "127.0.0.1:2");
    EXPECT_EQ(to("other.home.example"), "127.0.0.1:1");
    EXPECT_EQ(to("deep.home.example"), "127.0.0.1:1");
    EXPECT_EQ(to("x.deep.home.example"), "[::1]:3");
    EXPECT_EQ(to("x.y.home.example"), "nothing");
    EXPECT_EQ(to("home.example"), "nothing");
    EXPECT_EQ(to("example"), "nothing");
    EXPECT_EQ(to(""), "nothing");
    EXPECT_FALSE(snapshot->find("tunnel.home.example")->target);
    EXPECT_EQ(snapshot->find("x.deep.home.example")->target->family(), AF_INET6);
    EXPECT_EQ(snapshot->size(), 4u);
}

TEST(RouteSnapshot, ABadRouteIsLeftOutAlone) {
    RouteTable table;
    table.revision = 7;
    table.routes = {route("app.home.example", "localhost:1"),      route("good.home.example", "127.0.0.1:1"),
                    route("good.home.example", "127.0.0.1:2"),     route("Upper.home.example", "127.0.0.1:3"),
                    route(std::string(300, 'a') + ".example", ""), route("", "127.0.0.1:4"),
                    route(std::string("nul\0.example", 12), ""),   route("last.home.example", "127.0.0.1:5")};
    std::vector<Rejection> rejected;
    const auto snapshot = RouteSnapshot::compile(table, rejected);
    EXPECT_EQ(snapshot->size(), 2u);
    EXPECT_EQ(snapshot->revision(), 7u);
    EXPECT_EQ(snapshot->find("good.home.example")->route.to, "127.0.0.1:1");
    EXPECT_TRUE(snapshot->find("last.home.example"));
    ASSERT_EQ(rejected.size(), 6u);
    EXPECT_EQ(rejected[0].name, "app.home.example");
    EXPECT_NE(rejected[0].reason.find("localhost:1"), std::string::npos);
}

net::Address address(std::string_view text) {
    return net::Address::parse(text).value();
}

TEST(Admission, CountsByAddressAndByNetwork) {
    Admission<int> admission(2);
    const auto first = admission.enter(address("192.0.2.1"), 1);
    EXPECT_FALSE(admission.to_evict(address("192.0.2.1")));
    admission.enter(address("::ffff:192.0.2.1"), 2);
    EXPECT_EQ(admission.to_evict(address("192.0.2.1")), 1);
    admission.leave(address("192.0.2.1"), first);
    EXPECT_FALSE(admission.to_evict(address("192.0.2.1")));
    admission.enter(address("192.0.2.1"), 3);
    EXPECT_EQ(admission.to_evict(address("192.0.2.1")), 2) << "the oldest that is left";
    EXPECT_FALSE(admission.to_evict(address("192.0.2.2")));
    admission.enter(address("2001:db8::1"), 4);
    admission.enter(address("2001:db8::2"), 5);
    EXPECT_EQ(admission.to_evict(address("2001:db8::ffff:3")), 4);
    EXPECT_FALSE(admission.to_evict(address("2001:db8:0:1::1")));
    EXPECT_EQ(admission.total(), 4u);
}

TEST(Config, EveryKeyIsRead) {
    Config config;
    const auto read = read_config(
        "[listen]\ntls = ['[::]:443', '0.0.0.0:443']\nhttp = ['0.0.0.0:80']\ndns = ['192.0.2.1:53']\n"
        "[control]\nsocket = '/run/c'\n[state]\ndirectory = '/s'\n"
        "[timeouts]\nhello_seconds = 2\ndial_seconds = 0.5\nidle_seconds = 60\n"
        "half_closed_seconds = 5\ndrain_seconds = 1\n"
        "[limits]\nwaiting = 5\nwaiting_per_address = 6\nwaiting_bytes = 7\n"
        "dns_answers_per_second = 0\n",
        "edge.toml", config);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(config.listen_tls.size(), 2u);
    EXPECT_EQ(config.dial_timeout, std::chrono::milliseconds(500));
    EXPECT_EQ(config.pump.half_closed, std::chrono::seconds(5));
    EXPECT_EQ(config.listener.waiting_bytes, 7u);
    EXPECT_EQ(config.dns_answers_per_second, 0u);
    EXPECT_EQ(config.control_socket, "/run/c");
    EXPECT_EQ(config_keys().size(), 14u);
}

TEST(Config, TheManualHasEveryKey) {
    std::ifstream file(test::source_path("docs/man/p2prc-edge.8.scd"));
    const std::string manual{std::istreambuf_iterator<char>(file), {}};
    for (const auto& key : config_keys())
        EXPECT_NE(manual.find(key.key), std::string::npos) << key.key;
}

TEST(Config, ErrorsNameFileLineAndKeyAndChangeNothing) {
    for (const auto& [text, words] : std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"[timeouts]\nhello_seconds = 2\ndail_seconds = 3\n", "e.toml:3: timeouts.dail_seconds"},
             {"[timeouts]\nhello_seconds = -1\n", "e.toml:2: timeouts.hello_seconds"},
             {"[timeouts]\nhello_seconds = 'x'\n", "e.toml:2: timeouts.hello_seconds"},
             {"[limits]\nwaiting = 0\n", "e.toml:2: limits.waiting"},
             {"[limits]\ndns_answers_per_second = -1\n", "e.toml:2: limits.dns_answers_per_second"},
             {"[listen]\ntls = ['here']\n", "e.toml:2: listen.tls"},
             {"[control]\nsocket = 'relative'\n", "e.toml:2: control.socket"},
             {"[lissten]\n", "e.toml:1: lissten"},
             {"listen = 1\n", "e.toml:1: listen"},
             {"= 1\n", "e.toml:1"}}) {
        Config config;
        const auto read = read_config(text, "e.toml", config);
        ASSERT_FALSE(read) << text;
        EXPECT_NE(read.error().message.find(words), std::string::npos) << read.error().message;
        EXPECT_EQ(config.listener.first_timeout, std::chrono::seconds(5));
    }
}

template <std::size_t size>
auto parse(const char* const (&words)[size]) {
    return parse_command_line(static_cast<int>(size), words);
}

TEST(CommandLine, Options) {
    const auto line = parse(
        {"p2prc-edge", "--routes", "r.toml", "--listen-tls=[::1]:8443", "--listen-tls", "127.0.0.1:8443"});
    ASSERT_TRUE(line);
    EXPECT_EQ(line->routes_file, "r.toml");
    EXPECT_EQ(line->listen_tls.size(), 2u);
    EXPECT_TRUE(line->listen_http.empty());
}

TEST(CommandLine, WhatCannotBeParsedIsOfStatusTwo) {
    const auto status_of = [](const auto& line) { return line ? -1 : line.error(); };
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--route", "r.toml"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--routes"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--listen-dns", "53"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--listen-tls", "127.0.0.1:1", "127.0.0.1:2"})), 2);
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--help"})), 0);
    EXPECT_EQ(status_of(parse({"p2prc-edge", "--version"})), 0);
}

} // namespace
} // namespace p2prc::edge
