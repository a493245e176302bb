// Calls of a user who is not root, without polkit and with one that says yes or no.
#include "daemon/api/polkit.h"
#include "dbus/codec.h"
#include "net/file.h"
#include "tests/unit/daemon/api/fixture.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;

struct Question {
    bool says = true;
    Json asked;
};

asio::awaitable<Result<dbus::Message>> decide(Question* question, dbus::Message call) {
    question->asked = dbus::read_body(call).value_or(nullptr);
    auto reply = call.new_reply();
    const Json decision = Json::array({question->says, false, Json::object()});
    (void)dbus::write_value(*reply, "(bba{ss})", decision);
    co_return reply;
}

class PolkitTest : public ApiTest {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root to call as another user";
        populate();
        start();
    }

    void start_polkit() {
        polkit = bus.connect();
        dbus::Interface authority{"org.freedesktop.PolicyKit1.Authority"};
        authority.methods.push_back({"CheckAuthorization",
                                     {{"(sa{sv})", "subject"},
                                      {"s", "action"},
                                      {"a{ss}", "details"},
                                      {"u", "flags"},
                                      {"s", "cancellation"}},
                                     {{"(bba{ss})", "result"}},
                                     [this](dbus::Message call) { return decide(&question, call); }});
        registration = polkit->add_object("/org/freedesktop/PolicyKit1/Authority", authority).value();
        ASSERT_TRUE(bus.run(polkit->request_name("org.freedesktop.PolicyKit1")));
    }

    std::string as_nobody(const std::string& call) {
        return bus.run_as("nobody", "call org.p2prc1 /org/p2prc1 org.p2prc1.Manager " + call);
    }

    Question question;
    std::unique_ptr<dbus::Bus> polkit;
    dbus::Registration registration;
};

TEST_F(PolkitTest, ReadingIsOpenAndWithoutPolkitNothingElseIs) {
    EXPECT_NE(as_nobody("ListProcess").find("exit 0"), std::string::npos);
    const std::string refused = as_nobody("UnmapDomain s wiki.home.example");
    EXPECT_NE(refused.find("exit 1"), std::string::npos);
    EXPECT_NE(refused.find("a polkit rule allow org.p2prc1.map-domain"), std::string::npos) << refused;
    EXPECT_TRUE(fleet.requests.requests.empty());
}

TEST_F(PolkitTest, PolkitDecidesAboutTheConnection) {
    start_polkit();
    fleet.requests.answers["domain.unmap"] = [](const Json& params) -> Result<Json> { return params; };
    const std::string done = as_nobody("UnmapDomain s wiki.home.example");
    EXPECT_NE(done.find("exit 0"), std::string::npos) << done;
    EXPECT_EQ(question.asked[0][0], "system-bus-name");
    EXPECT_TRUE(question.asked[0][1]["name"].get<std::string>().starts_with(":"));
    EXPECT_EQ(question.asked[1], "org.p2prc1.map-domain");
    ASSERT_EQ(fleet.requests.requests.size(), 1U);
    EXPECT_EQ(fleet.requests.requests[0].second["by"], "nobody@home1");
    question.says = false;
    EXPECT_NE(as_nobody("RemoveNode s root1").find("org.p2prc1.manage-fleet"), std::string::npos);
    EXPECT_TRUE(fleet.removed.empty());
}

TEST_F(PolkitTest, ItIsToldWhatIsAskedFor) {
    start_polkit();
    question.says = false;
    const auto details = [&](const std::string& call) {
        question.asked = nullptr;
        as_nobody(call);
        return question.asked.is_array() ? question.asked[2] : Json();
    };
    const Json restart = {
        {"verb", "restart"},
        {"process", "wiki"},
        {"node", "home1"},
        {"polkit.message", "Authentication is required to restart process 'wiki' on home1"}};
    for (const char* name : {"7", "wiki", "wiki.home.example"})
        EXPECT_EQ(details(std::string("RestartProcess s ") + name), restart);
    EXPECT_EQ(details("RestartProcessWithOptions sa{sv} wiki 1 until s started"), restart);
    EXPECT_EQ(
        bus.run_as("nobody", "call org.p2prc1 /org/p2prc1/process/7 org.p2prc1.Process Restart").empty(),
        false);
    EXPECT_EQ(question.asked[2], restart);
    EXPECT_EQ(details("KillProcess s nobody")["process"], "nobody");
    EXPECT_EQ(details("SpinProcess a{sv}s 1 name s nap root1"),
              Json({{"verb", "spin"},
                    {"process", "nap"},
                    {"node", "root1"},
                    {"polkit.message", "Authentication is required to run process 'nap' on root1"}}));
    EXPECT_EQ(details("MapDomain ssa{sv} Wiki.Home.Example wiki 0"),
              Json({{"verb", "map"},
                    {"domain", "wiki.home.example"},
                    {"process", "wiki"},
                    {"polkit.message",
                     "Authentication is required to map domain 'wiki.home.example' to process 'wiki'"}}));
    EXPECT_EQ(details("RemoveNode s root1"),
              Json({{"verb", "remove"},
                    {"node", "root1"},
                    {"polkit.message", "Authentication is required to remove node 'root1'"}}));
    // A token is a secret, and the action's own message says enough.
    EXPECT_EQ(details("Join ss p2prc1_secret home1"), Json({{"verb", "join"}}));
}

TEST_F(PolkitTest, UnknownOptionsAreRefusedAndNotAskedAbout) {
    start_polkit();
    const std::string words = as_nobody("StartProcessWithOptions sa{sv} wiki 1 untli s ready");
    EXPECT_NE(words.find("there is no option 'untli'"), std::string::npos) << words;
    EXPECT_NE(words.find("the options are until, timeout_seconds"), std::string::npos) << words;
    EXPECT_NE(
        as_nobody("KillProcessWithOptions sa{sv} wiki 1 data b true").find("has no options in this version"),
        std::string::npos);
    EXPECT_NE(as_nobody("LeaveWithOptions a{sv} 1 force s yes").find("wrong type"), std::string::npos);
    EXPECT_TRUE(question.asked.is_null());
}

// The last lines of a journal are behind org.p2prc1.read-logs, wherever they stand.
TEST_F(PolkitTest, NobodyReadsLogLinesWithoutTheRight) {
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.code = 3;
    reason.log = {"the-last-words"};
    report(wiki, ProcessState::Failed, reason);
    EXPECT_EQ(bus.run(client->information("wiki")).value()["reason"]["log"], Json({"the-last-words"}))
        << "root";
    const std::string reads[] = {
        "/org/p2prc1 org.p2prc1.Manager ProcessInformation s wiki",
        "/org/p2prc1 org.p2prc1.Manager ListProcess",
        "/org/p2prc1 org.p2prc1.Manager Status",
        "/org/p2prc1 org.p2prc1.Manager Facts",
        "/org/p2prc1 org.freedesktop.DBus.ObjectManager GetManagedObjects",
        "/org/p2prc1/process/7 org.freedesktop.DBus.Properties GetAll s org.p2prc1.Process",
        "/org/p2prc1/process/7 org.freedesktop.DBus.Properties Get ss org.p2prc1.Process Reason"};
    const auto leaks = [&](const std::string& call) {
        const std::string shown = bus.run_as("nobody", "call org.p2prc1 " + call);
        EXPECT_NE(shown.find("exit-code"), std::string::npos) << shown;
        EXPECT_NE(shown.find("exit 0"), std::string::npos) << shown;
        return shown.find("the-last-words") != std::string::npos;
    };
    for (const std::string& call : reads)
        EXPECT_FALSE(leaks(call)) << call;
    start_polkit();
    question.says = false;
    EXPECT_FALSE(leaks(reads[0]));
    EXPECT_EQ(question.asked[1], "org.p2prc1.read-logs");
    EXPECT_EQ(question.asked[3], 0) << "nobody is asked for a password because somebody looks";
    question.says = true;
    EXPECT_TRUE(leaks(reads[0]));
}

TEST_F(PolkitTest, WhatIsTooBigIsNotAskedAbout) {
    start_polkit();
    const std::string name(70000, 'a');
    EXPECT_NE(as_nobody("UnmapDomain s " + name).find("too much text"), std::string::npos);
    EXPECT_TRUE(question.asked.is_null());
}

// A polkit whose agent never answers. It forgets a question when that is cancelled, if it is `obliging`.
class SilentPolkit : public ::testing::Test {
  protected:
    void SetUp() override {
        server = bus.connect();
        service = bus.connect();
        dbus::Interface authority{"org.freedesktop.PolicyKit1.Authority"};
        authority.methods.push_back({"CheckAuthorization",
                                     {{"(sa{sv})", "subject"},
                                      {"s", "action"},
                                      {"a{ss}", "details"},
                                      {"u", "flags"},
                                      {"s", "cancellation"}},
                                     {{"(bba{ss})", "result"}},
                                     [this](dbus::Message call) { return be_silent(call); }});
        authority.methods.push_back(
            {"CancelCheckAuthorization", {{"s", "cancellation"}}, {}, [this](dbus::Message call) {
                 return forget(call);
             }});
        registration = service->add_object("/org/freedesktop/PolicyKit1/Authority", authority).value();
        ASSERT_TRUE(bus.run(service->request_name("org.freedesktop.PolicyKit1")));
        polkit = std::make_unique<Polkit>(*server);
    }

    asio::awaitable<Result<dbus::Message>> be_silent(dbus::Message call) {
        const std::string id = dbus::read_body(call).value()[4];
        asked.push_back(id);
        while (!cancelled.contains(id) || !obliging)
            co_await test::sleep_for(std::chrono::milliseconds(5));
        co_return fail(ErrorCode::Failed, "cancelled");
    }

    asio::awaitable<Result<dbus::Message>> forget(dbus::Message call) {
        cancelled.insert(dbus::read_body(call).value()[0].get<std::string>());
        co_return call.new_reply();
    }

    void ask(uid_t uid) {
        auto call =
            server->new_call("org.p2prc1", "/org/p2prc1", "org.p2prc1.Manager", "KillProcess").value();
        asio::co_spawn(bus.io, polkit->ask(call, uid, PolkitQuestion{"org.p2prc1.kill"}),
                       [this, uid](std::exception_ptr, Result<void> answer) {
                           answers.emplace_back(uid, answer ? "yes" : answer.error().message);
                       });
        ++begun;
        settle([this] { return asked.size() + refused() >= begun; });
    }
    std::size_t refused() const { // at once, without having been asked
        return static_cast<std::size_t>(std::ranges::count_if(answers, [](const auto& answer) {
            return answer.second.find("answers no questions") != std::string::npos;
        }));
    }

    template <class Done>
    void settle(Done done) {
        auto loop = [](Done condition) -> asio::awaitable<bool> {
            for (int round = 0; round < 1000 && !condition(); ++round)
                co_await test::sleep_for(std::chrono::milliseconds(2));
            co_return condition();
        };
        EXPECT_TRUE(bus.run(loop(done)));
    }

    test::PrivateBus bus;
    std::unique_ptr<dbus::Bus> server;
    std::unique_ptr<dbus::Bus> service;
    dbus::Registration registration;
    std::unique_ptr<Polkit> polkit;
    bool obliging = true;
    std::size_t begun = 0;
    std::vector<std::string> asked;
    std::set<std::string> cancelled;
    std::vector<std::pair<uid_t, std::string>> answers;
};

TEST_F(SilentPolkit, TheOldestOfAUserWithTooManyMakesRoom) {
    for (std::size_t i = 0; i < Polkit::questions_of_a_user; ++i)
        ask(1000);
    ask(1001);
    EXPECT_TRUE(answers.empty());
    ask(1000);
    settle([this] { return !answers.empty() && !cancelled.empty(); });
    ASSERT_EQ(answers.size(), 1U);
    EXPECT_EQ(answers[0].first, 1000U);
    EXPECT_NE(answers[0].second.find("too many"), std::string::npos) << answers[0].second;
    EXPECT_EQ(cancelled, std::set<std::string>{asked[0]});
}

TEST_F(SilentPolkit, WhenAllAreTakenWhoeverHasTheMostPays) {
    ask(7);
    for (std::size_t i = 0; i < Polkit::questions_of_a_user; ++i)
        ask(1000);
    for (uid_t uid = 2000; begun < Polkit::questions; ++uid)
        ask(uid);
    EXPECT_TRUE(answers.empty());
    ask(5);
    settle([this] { return !answers.empty(); });
    EXPECT_EQ(answers[0].first, 1000U);
}

TEST_F(SilentPolkit, AQuestionEndsWhenNobodyAnswers) {
    polkit->timeout = std::chrono::seconds(0);
    ask(1000);
    settle([this] { return !answers.empty() && !cancelled.empty(); });
    EXPECT_NE(answers[0].second.find("nobody has entered the password"), std::string::npos)
        << answers[0].second;
}

// dbus-daemon refuses every call of a connection that waits for 128 answers.
TEST_F(SilentPolkit, CallsOfOtherKindsGoThroughHoweverManyItLeavesUnanswered) {
    obliging = false;
    for (int i = 0; i < 140; ++i)
        ask(1000 + static_cast<uid_t>(i % 3));
    EXPECT_EQ(asked.size(), Polkit::unanswered);
    EXPECT_EQ(refused(), 140 - Polkit::unanswered);
    const auto owner = bus.run(server->name_owner("org.freedesktop.PolicyKit1"));
    EXPECT_TRUE(owner) << owner.error().message;
}

TEST(UserNames, AreReadFromTheFileWhenItHasChanged) {
    const net::TemporaryDirectory directory;
    const auto path = directory.path() / "passwd";
    std::ofstream(path) << "root:x:0:0::/:/bin/sh\nanna:x:1000:1000::/:/bin/sh\n";
    UserNames names(path);
    EXPECT_EQ(names.of(1000), "anna");
    EXPECT_EQ(names.of(1001), "1001");
    ASSERT_TRUE(net::write_file_atomically(path, "bea:x:1000:1000::/:/bin/sh\n"));
    EXPECT_EQ(names.of(1000), "bea");
    EXPECT_EQ(names.of(0), "0");
    EXPECT_EQ(UserNames("/nonexistent").of(7), "7");
}

} // namespace
} // namespace p2prc::daemon
