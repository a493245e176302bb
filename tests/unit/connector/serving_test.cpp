#include "connector/serving.h"
#include "net/asio.h"
#include "tests/unit/support/eventually.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <openssl/ssl.h>

#include <map>
#include <optional>

using namespace p2prc;
using namespace p2prc::connector;
using namespace std::chrono_literals;
using testing::HasSubstr;
using tunnel::Answer;

namespace {

const net::Endpoint edge = net::Endpoint::parse("203.0.113.1:443").value();

class ServingTest : public testing::Test {
  protected:
    ServingTest() {
        serving.emplace(
            io.get_executor(),
            [this](const std::string& domain, const std::string& state, const std::string& reason) {
                told[domain] = state + (reason.empty() ? "" : ": " + reason);
                ++reports;
            },
            ServingOptions{
                .first_retry = 5ms, .longest_retry = 10ms, .calm = 1h, .failures = 3, .at_once = 2},
            [this](EdgeProbe probe) -> boost::asio::awaitable<ProbeResult> {
                asked.push_back(probe.name);
                if (arrives) serving->answered(7, Answer::Accepted);
                co_return ProbeResult{trouble.empty() ? Visit::Served : visit, trouble};
            });
        Mapping mapping;
        mapping.id = 7;
        mapping.domain = "app.home.example";
        mapping.port = 8080;
        mapping.tls = TlsMode::Passthrough;
        table.mappings[7] = mapping;
    }
    Mapping& mapping() { return table.mappings.at(7); }
    std::string state() { return told["app.home.example"]; }
    void settle() { io.run_for(60ms); }

    boost::asio::io_context io;
    MappingTable table;
    std::map<std::string, std::string> told;
    int reports = 0;
    std::vector<std::string> asked;
    std::string trouble;
    Visit visit = Visit::Refused;
    bool arrives = false; // the probe, at the application
    std::optional<Serving> serving;
};

TEST_F(ServingTest, OnceTheEdgePassesAVisitorThrough) {
    serving->set_mappings(table);
    settle();
    EXPECT_TRUE(asked.empty()) << "there is no session with the edge";
    serving->set_link(edge, true);
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
    settle();
    EXPECT_EQ(asked, std::vector<std::string>{"app.home.example"});
    serving->set_link(edge, false);
    EXPECT_EQ(state(), "unknown");
    serving->set_link(edge, true);
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
}

TEST_F(ServingTest, NotBeforeThereIsACertificateAndSomebodyToDial) {
    mapping().tls = TlsMode::Node;
    mapping().address.reset();
    serving->set_link(edge, true);
    serving->set_mappings(table);
    settle();
    EXPECT_TRUE(asked.empty());
    mapping().address = net::Address::v4({127, 0, 0, 1});
    serving->set_mappings(table);
    settle();
    EXPECT_TRUE(asked.empty());
    serving->set_certificate("app.home.example",
                             std::shared_ptr<ssl_ctx_st>(SSL_CTX_new(TLS_server_method()), SSL_CTX_free));
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
    // It went away: nothing that was found out counts.
    mapping().address.reset();
    serving->set_mappings(table);
    EXPECT_EQ(state(), "unknown");
}

TEST_F(ServingTest, ProbesThatFailCountAfterAFew) {
    trouble = "the edge does not answer";
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return asked.size() == 1 && !state().empty(); }));
    EXPECT_EQ(state(), "unknown: the edge does not answer");
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "failing: the edge does not answer"; }));
    trouble.clear();
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
}

TEST_F(ServingTest, WhatTheLastVisitorGotCounts) {
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
    const auto before = asked.size();
    serving->answered(7, Answer::DialRefused);
    EXPECT_EQ(state(), "failing: nothing listens on 127.0.0.1:8080");
    // It is looked whether it is over; the probe is a visitor, too.
    ASSERT_TRUE(test::eventually(io, [&] { return asked.size() > before; }));
    EXPECT_THAT(state(), HasSubstr("failing"));
    serving->answered(7, Answer::Accepted);
    EXPECT_EQ(state(), "ok");
    serving->answered(99, Answer::DialRefused); // of a mapping that has gone
    EXPECT_EQ(state(), "ok");
}

TEST_F(ServingTest, AnApplicationWithItsOwnTlsNeedNotAnswerTheProbe) {
    arrives = true;
    trouble = "the edge does not answer";
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
    settle();
    EXPECT_EQ(state(), "ok");
    EXPECT_EQ(asked.size(), 1U);
}

TEST_F(ServingTest, AnApplicationThatShouldSpeakTlsAndDoesNot) {
    arrives = true;
    trouble = "visitors get an answer that is not TLS";
    visit = Visit::NotTls;
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return state() != ""; }));
    EXPECT_EQ(state(), "failing: the process does not answer with TLS");
    settle();
    EXPECT_EQ(asked.size(), 1U) << "each probe is noise in its log";
    // It is started again, in a control group of its own.
    trouble.clear();
    mapping().groups = {17};
    serving->set_mappings(table);
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
}

TEST_F(ServingTest, AnApplicationThatHangsUpIsNotOneWithTlsEither) {
    arrives = true;
    trouble = "the edge closes the connection";
    visit = Visit::Closed;
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return asked.size() == 1 && state() != ""; }));
    EXPECT_EQ(state(), "unknown: the process does not answer with TLS") << "it may have been about to end";
    EXPECT_TRUE(
        test::eventually(io, [&] { return state() == "failing: the process does not answer with TLS"; }));
    // It was the edge: nobody reached the application.
    arrives = false;
    EXPECT_TRUE(test::eventually(io, [&] { return state() == "failing: the edge closes the connection"; }));
    // The name that is asked for below a wildcard is one that the application does not serve.
    arrives = true;
    mapping().domain = "*.wild.home.example";
    serving->set_mappings(table);
    EXPECT_TRUE(test::eventually(io, [&] { return told["*.wild.home.example"] == "ok"; }));
}

TEST_F(ServingTest, AWildcardIsAskedForByANameBelowIt) {
    mapping().domain = "*.wild.home.example";
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return told["*.wild.home.example"] == "ok"; }));
    EXPECT_THAT(asked[0], testing::EndsWith(".wild.home.example"));
    EXPECT_THAT(asked[0], testing::Not(HasSubstr("*")));
}

TEST_F(ServingTest, AllIsToldAgainToOneThatForgot) {
    serving->set_mappings(table);
    serving->set_link(edge, true);
    ASSERT_TRUE(test::eventually(io, [&] { return state() == "ok"; }));
    told.clear();
    serving->report_again();
    EXPECT_EQ(state(), "ok");
}

} // namespace
