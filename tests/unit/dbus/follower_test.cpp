#include "dbus/codec.h"
#include "dbus/follower.h"
#include "dbus/names.h"
#include "tests/unit/support/eventually.h"
#include "tests/unit/support/private_bus.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::dbus {
namespace {

namespace asio = boost::asio;

// A follower of the routes, and a stand-in for p2prcd that hands them out.
class FollowerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        FollowerOptions options;
        options.open = [](Bus& connection) {
            return std::make_unique<FollowedBy<EdgeClient, &EdgeClient::routes>>(connection);
        };
        options.what = "routes";
        options.bus_address = bus.address();
        options.fingerprint = "abc";
        options.apply = [this](const Feed& feed) -> Result<void> {
            if (unreadable) return fail(ErrorCode::Failed, "they make no sense");
            revisions.push_back(feed.revision);
            return {};
        };
        options.status = [this] { return Json{{"routes", revisions.size()}}; };
        options.registered = [this] { ++told_registered; };
        options.refused = [this](const Error& refusal) { refusals.push_back(refusal.code); };
        options.warn = [this](const Error& failure) { warnings.push_back(failure.message); };
        follower = std::make_unique<Follower>(bus.io.get_executor(), std::move(options));
        asio::co_spawn(bus.io, follower->run(), [this](std::exception_ptr) { ended = true; });
    }

    // What waits for an answer holds the connection that the answer would come over.
    void TearDown() override {
        follower->leave();
        EXPECT_TRUE(eventually([this] { return ended; }));
    }

    MethodHandler handler(std::function<void(const Json& body, const Message& reply)> act) {
        return [act = std::move(act)](Message call) { return respond(act, call); };
    }
    static asio::awaitable<Result<Message>> respond(std::function<void(const Json&, const Message&)> act,
                                                    Message call) {
        const auto body = read_body(call);
        auto reply = call.new_reply();
        act(body.value_or(nullptr), *reply);
        co_return reply;
    }

    asio::awaitable<Result<Message>> register_key(Message call) {
        const auto body = read_body(call);
        if (taken) co_return fail(ErrorCode::Conflict, "another has it");
        keys.push_back(body.value()[0].get<std::string>());
        co_return call.new_reply();
    }

    void start_daemon() {
        server = bus.connect();
        Interface edge{names::edge_interface};
        edge.methods.push_back(
            {"RegisterKey", {{"s", "fingerprint"}}, {}, [this](Message call) { return register_key(call); }});
        edge.methods.push_back({"GetRoutes",
                                {},
                                {{"t", "revision"}, {"a{sv}", "routes"}},
                                handler([this](const Json&, const Message& reply) {
                                    (void)write_value(reply, "t", revision);
                                    (void)write_value(reply, "a{sv}", Json::object());
                                })});
        edge.methods.push_back(
            {"ReportStatus", {{"a{sv}", "status"}}, {}, handler([this](const Json& body, auto&) {
                 reports.push_back(body[0]);
             })});
        edge.signals.push_back({"RoutesChanged", {{"t", "revision"}}});
        object = server->add_object(names::edge_path, std::move(edge)).value();
        ASSERT_TRUE(bus.run(server->request_name(names::service)));
    }
    void stop_daemon() {
        object.reset();
        server.reset();
    }
    bool eventually(std::function<bool()> condition) {
        return test::eventually(bus.io, std::move(condition));
    }

    test::PrivateBus bus;
    std::unique_ptr<Bus> server;
    Registration object;
    std::unique_ptr<Follower> follower;
    std::uint64_t revision = 1;
    bool unreadable = false;
    bool taken = false;
    bool ended = false;
    int told_registered = 0;
    std::vector<std::string> keys, warnings;
    std::vector<ErrorCode> refusals;
    std::vector<std::uint64_t> revisions;
    std::vector<Json> reports;
};

TEST_F(FollowerTest, RegistersThenGetsWhatIsNewAndReports) {
    start_daemon();
    ASSERT_TRUE(eventually([this] { return !reports.empty(); }));
    EXPECT_EQ(keys, std::vector<std::string>{"abc"});
    EXPECT_EQ(revisions, std::vector<std::uint64_t>{1});
    EXPECT_EQ(reports.back()["routes"], 1) << "with what is served now";
    revision = 2;
    const auto signal = server->new_signal(names::edge_path, names::edge_interface, "RoutesChanged");
    ASSERT_TRUE(signal && write_value(*signal, "t", revision) && server->send(*signal));
    ASSERT_TRUE(eventually([this] { return revisions.size() == 2; }));
    EXPECT_EQ(revisions.back(), 2u);
    EXPECT_EQ(keys.size(), 1u);
}

TEST_F(FollowerTest, ADaemonThatComesBackIsToldAgain) {
    ASSERT_TRUE(eventually([this] { return !warnings.empty(); }));
    EXPECT_NE(warnings.front().find("cannot register with p2prcd"), std::string::npos) << warnings.front();
    start_daemon();
    ASSERT_TRUE(eventually([this] { return revisions.size() == 1; }));
    stop_daemon();
    revision = 2;
    start_daemon();
    ASSERT_TRUE(eventually([this] { return revisions.size() == 2; }));
    EXPECT_EQ(keys.size(), 2u);
    EXPECT_EQ(told_registered, 2);
    EXPECT_EQ(revisions.back(), 2u);
}

TEST_F(FollowerTest, ARefusedKeyIsTold) {
    taken = true;
    start_daemon();
    ASSERT_TRUE(eventually([this] { return !refusals.empty() && refusals.back() == ErrorCode::Conflict; }));
    EXPECT_TRUE(revisions.empty());
    taken = false;
    EXPECT_TRUE(eventually([this] { return revisions.size() == 1; }));
}

TEST_F(FollowerTest, ReportsWhenItIsAskedTo) {
    start_daemon();
    ASSERT_TRUE(eventually([this] { return !reports.empty(); }));
    const auto before = reports.size();
    follower->report();
    EXPECT_TRUE(eventually([&] { return reports.size() > before; }));
}

TEST_F(FollowerTest, AFailureIsToldOnceAndTheDocumentGotAgain) {
    unreadable = true;
    start_daemon();
    ASSERT_TRUE(eventually([this] { return !reports.empty(); }));
    EXPECT_EQ(warnings, std::vector<std::string>{"cannot read the routes of p2prcd: they make no sense"});
    follower->report(); // another turn, without the wait before it
    const auto before = reports.size();
    ASSERT_TRUE(eventually([&] { return reports.size() > before; }));
    EXPECT_EQ(warnings.size(), 1u);
    unreadable = false;
    follower->report();
    EXPECT_TRUE(eventually([this] { return !revisions.empty(); }));
}

TEST_F(FollowerTest, LeavingEndsIt) {
    start_daemon();
    ASSERT_TRUE(eventually([this] { return !reports.empty(); }));
    const auto held = follower->connection();
    ASSERT_TRUE(held);
    follower->leave();
    EXPECT_FALSE(held->bus) << "closed, whoever holds it";
    EXPECT_FALSE(follower->connection());
    EXPECT_TRUE(eventually([this] { return ended; }));
}

} // namespace
} // namespace p2prc::dbus
