#include "daemon/api/events.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "tests/unit/daemon/api/fixture.h"

#include <gmock/gmock.h>

namespace p2prc::daemon {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class EventsTest : public ApiTest {
  protected:
    // A grace that no pause of the machine outlasts.
    explicit EventsTest(std::chrono::milliseconds grace = 1h)
        : timing{.grace = grace, .burst = 10, .every = 20ms} {}

    void SetUp() override {
        populate();
        const std::string rule = "type='signal',interface='org.p2prc1.Manager',member='Event'";
        match = user->match(rule,
                            [this](const dbus::Message& message) {
                                bodies.push_back(dbus::read_body(message).value());
                            })
                    .value();
        ASSERT_TRUE(bus.run(user->name_owner("org.freedesktop.DBus")));
    }

    void run_for(std::chrono::milliseconds time) {
        auto sleep = [](std::chrono::milliseconds for_that) -> boost::asio::awaitable<Result<bool>> {
            co_await test::sleep_for(for_that);
            co_return true;
        };
        ASSERT_TRUE(bus.run(sleep(time)));
    }
    // What has changed so far is told, and has come. It is looked at after a millisecond, and timers fire in
    // the order of their times, however late; a round trip of p2prcd is behind what it tells, and the user's
    // behind that.
    void sync() {
        run_for(5ms);
        for (auto* side : {server.get(), user.get()})
            ASSERT_TRUE(bus.run(side->name_owner("org.freedesktop.DBus")));
    }
    // "process-failed /org/p2prc1/process/7", of what has been told since it was last asked.
    std::vector<std::string> told() {
        sync();
        std::vector<std::string> all;
        for (const Json& body : std::exchange(bodies, {}))
            all.push_back(body[1].get<std::string>() + " " + body[2].get<std::string>());
        return all;
    }
    // The same, once so much of it is there.
    std::vector<std::string> told_later(std::size_t count) {
        EXPECT_TRUE(wait([&] { return bodies.size() >= count; }));
        return told();
    }

    Json run(ProcessState state, const std::string& since, const std::string& stopped = {},
             StopKind kind = StopKind::ExitCode) {
        Json document = status(wiki, state);
        document["since"] = since;
        if (stopped.empty()) return document;
        StopReason reason;
        reason.kind = kind;
        reason.at = stopped;
        reason.log = {"a secret"};
        document["reason"] = reason_to_json(reason);
        return document;
    }
    void set_status(const Json& document) { own->set(keys::status("home1", 7), document); }
    void make_live() {
        own->set(keys::tunnel("home1"), {{"up", true}});
        own->set(keys::serving("home1", "wiki.home.example"), {{"state", "ok"}});
    }
    void set_serving(const char* state) {
        own->set(keys::serving("home1", "wiki.home.example"), {{"state", state}, {"reason", "why"}});
    }
    void set_edge(bool up) { commit({{keys::edge("root1"), Json{{"up", up}, {"detail", "it has ended"}}}}); }
    void set_live(const char* node, const char* state) {
        commit({{keys::live(node), Json{{"state", state}, {"since", "2026-01-05T00:00:00Z"}}}});
    }

    View view{*replica, *own, [this] { return fleet.node; }};
    EventTiming timing;
    Events events{*server, view, timing};
    std::vector<Json> bodies;
    dbus::Registration match;
};

class ShortGraceTest : public EventsTest {
  protected:
    ShortGraceTest() : EventsTest(60ms) {}
};

TEST_F(EventsTest, NothingIsToldOfWhatDidNotChange) {
    make_live();
    set_edge(true);
    events.start();
    set_status(run(ProcessState::Starting, "2026-01-02T03:04:06Z")); // adopted by a daemon that started anew
    set_status(run(ProcessState::Running, "2026-01-02T03:04:05Z"));
    own->set(keys::node_info("home1"), {{"ipv4", "192.0.2.7"}});
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(EventsTest, EachRunAndStopOfAProcess) {
    events.start();
    set_status(run(ProcessState::Starting, "2026-01-02T03:05:00Z", "2026-01-02T03:05:00Z"));
    EXPECT_THAT(told(), ElementsAre("process-stopped /org/p2prc1/process/7"));
    set_status(run(ProcessState::Running, "2026-01-02T03:05:01Z", "2026-01-02T03:05:00Z"));
    EXPECT_THAT(told(), ElementsAre("process-running /org/p2prc1/process/7"));
    // Both, though nobody looked in between.
    set_status(run(ProcessState::Running, "2026-01-02T03:06:01Z", "2026-01-02T03:06:00Z"));
    EXPECT_THAT(told(), ElementsAre("process-stopped /org/p2prc1/process/7",
                                    "process-running /org/p2prc1/process/7"));
    set_status(run(ProcessState::Failed, "2026-01-02T03:07:00Z", "2026-01-02T03:07:00Z"));
    sync();
    ASSERT_EQ(bodies.size(), 1U);
    const Json& details = bodies[0][3];
    EXPECT_EQ(bodies[0][0], 1767323220000000) << "when it stopped";
    EXPECT_EQ(details["process"], "wiki");
    EXPECT_EQ(details["id"], 7);
    EXPECT_EQ(details["node"], "home1");
    EXPECT_EQ(details["reason"]["kind"], "exit-code");
    EXPECT_FALSE(details["reason"].contains("log"));
    EXPECT_EQ(details.dump().find("secret"), std::string::npos);
    EXPECT_EQ(details["text"], "process 'wiki' on 'home1' failed: exit-code (2026-01-02T03:07:00Z)");
    EXPECT_THAT(told(), ElementsAre("process-failed /org/p2prc1/process/7"));
    Tombstone tombstone{7, "wiki", "home1", "ada@home1", "2026-01-02T03:08:00Z"};
    commit({{keys::process("wiki"), std::nullopt}, {keys::tombstone(7), to_json(tombstone)}});
    sync();
    ASSERT_EQ(bodies.size(), 1U);
    EXPECT_EQ(bodies[0][3]["text"], "process 'wiki' on 'home1' was killed by ada@home1");
    EXPECT_EQ(bodies[0][3]["reason"]["by"], "ada@home1");
    EXPECT_THAT(told(), ElementsAre("process-killed /org/p2prc1/process/7"));
}

// A registry that was restored from a copy does not know yet what was spun since. The process runs on.
TEST_F(EventsTest, WhatARegistryHasForgottenWasNotKilled) {
    events.start();
    set_status(run(ProcessState::Running, "2026-01-02T03:05:01Z"));
    told();
    commit({{keys::process("wiki"), std::nullopt}});
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(EventsTest, ProcessesOfOtherNodes) {
    events.start();
    const auto blog = process(9, "blog", "root1");
    commit({{keys::process("blog"), to_json(blog)}});
    EXPECT_THAT(told(), IsEmpty()) << "InterfacesAdded says so";
    commit({{keys::status("root1", 9), status(blog, ProcessState::Running)}});
    EXPECT_THAT(told(), ElementsAre("process-running /org/p2prc1/process/9"));
    // One that came with its node has stopped at some time before.
    const auto shop = process(10, "shop", "root1");
    commit({{keys::process("shop"), to_json(shop)},
            {keys::status("root1", 10), status(shop, ProcessState::Stopped, StopReason{})}});
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(EventsTest, NodesThatComeAndGo) {
    events.start();
    NodeRecord home2;
    home2.name = "home2";
    home2.key = std::string(64, 'd');
    const auto blog = process(9, "blog", "home2");
    commit({{keys::node("home2"), to_json(home2)}, {keys::process("blog"), to_json(blog)}});
    EXPECT_THAT(told(), ElementsAre("node-joined /org/p2prc1/node/home2"));
    set_live("home2", "up");
    set_live("home2", "suspect");
    set_live("home2", "up");
    EXPECT_THAT(told(), IsEmpty());
    set_live("home2", "suspect");
    set_live("home2", "lost");
    EXPECT_THAT(told(), ElementsAre("node-lost /org/p2prc1/node/home2"));
    set_live("home2", "up");
    sync();
    ASSERT_EQ(bodies.size(), 1U);
    EXPECT_EQ(bodies[0][0], 1767571200000000);
    EXPECT_THAT(told(), ElementsAre("node-back /org/p2prc1/node/home2"));
    commit({{keys::node("home2"), std::nullopt},
            {keys::live("home2"), std::nullopt},
            {keys::process("blog"), std::nullopt}});
    EXPECT_THAT(told(), ElementsAre("node-removed /org/p2prc1/node/home2"));
}

TEST_F(EventsTest, DomainsThatServeAndDoNot) {
    const std::string object = "/org/p2prc1/domain/wiki_2ehome_2eexample";
    make_live();
    events.start();
    set_serving("unknown");
    EXPECT_THAT(told(), IsEmpty()) << "in a moment it may be live again";
    set_serving("ok");
    EXPECT_THAT(told(), IsEmpty());
    set_serving("failing");
    sync();
    ASSERT_EQ(bodies.size(), 1U) << "at once";
    EXPECT_EQ(bodies[0][3]["text"], "domain 'wiki.home.example' is down: why");
    EXPECT_EQ(bodies[0][3]["process"], "wiki");
    EXPECT_EQ(bodies[0][3]["node"], "home1");
    EXPECT_THAT(told(), ElementsAre("domain-down " + object));
    set_serving("ok");
    EXPECT_THAT(told(), ElementsAre("domain-live " + object));
}

TEST_F(ShortGraceTest, DomainsThatDoNotServeForLonger) {
    const std::string object = "/org/p2prc1/domain/wiki_2ehome_2eexample";
    make_live();
    events.start();
    set_serving("unknown");
    const bool outlasted = !told().empty(); // by a pause of this machine
    set_serving("ok");
    run_for(120ms);
    EXPECT_EQ(told().empty(), !outlasted) << "it is live again";
    set_serving("unknown");
    EXPECT_THAT(told_later(1), ElementsAre("domain-down " + object));
    set_serving("failing");
    set_serving("unknown");
    run_for(120ms);
    EXPECT_THAT(told(), IsEmpty()) << "it is down already";
    set_serving("ok");
    EXPECT_THAT(told(), ElementsAre("domain-live " + object));
}

// Where p2prcd starts, edge and tunnel have to come first.
TEST_F(EventsTest, WhatWasNotGoodAtTheStartBecomesSoInSilence) {
    set_edge(false);
    events.start();
    make_live();
    set_edge(true);
    EXPECT_THAT(told(), IsEmpty());
}

TEST_F(ShortGraceTest, WhatWasNotGoodForLongerIsNews) {
    set_edge(false);
    events.start();
    run_for(120ms);
    EXPECT_THAT(told(), IsEmpty());
    make_live();
    set_edge(true);
    EXPECT_THAT(told(), ElementsAre("domain-live /org/p2prc1/domain/wiki_2ehome_2eexample",
                                    "edge-up /org/p2prc1/node/root1"));
    set_edge(false);
    EXPECT_THAT(told_later(2), ElementsAre("domain-down /org/p2prc1/domain/wiki_2ehome_2eexample",
                                           "edge-down /org/p2prc1/node/root1"));
}

TEST_F(EventsTest, AMemberThatFlickersFillsNoBus) {
    events.start();
    std::vector<ProcessRecord> records;
    std::map<std::string, std::optional<Json>> spun;
    for (unsigned i = 0; i < 100; ++i) {
        records.push_back(process(100 + i, "p" + std::to_string(i), "root1"));
        spun[keys::process(records.back().name)] = to_json(records.back());
    }
    commit(spun);
    const auto set_all = [&](ProcessState state, int second) {
        std::map<std::string, std::optional<Json>> reports;
        for (const auto& record : records) {
            Json document = status(record, state);
            document["since"] = "2026-01-02T03:04:" + std::to_string(second) + "Z";
            reports[keys::status("root1", record.id)] = document;
        }
        commit(reports);
    };
    const auto begin = std::chrono::steady_clock::now();
    for (int round = 10; round < 20; ++round) {
        set_all(ProcessState::Running, round);
        run_for(5ms);
    }
    run_for(50ms);
    const auto first = told();
    const auto later = (std::chrono::steady_clock::now() - begin) / timing.every;
    EXPECT_GE(first.size(), timing.burst);
    EXPECT_LE(first.size(), timing.burst + static_cast<std::size_t>(later) + 1);
    set_status(run(ProcessState::Failed, "2026-01-02T03:07:00Z", "2026-01-02T03:07:00Z"));
    const auto others = told();
    EXPECT_EQ(std::ranges::count(others, "process-failed /org/p2prc1/process/7"), 1)
        << "other nodes are not held up";
    set_all(ProcessState::Failed, 30);
    std::map<std::string, int> last;
    const auto count = [&] {
        for (const Json& body : std::exchange(bodies, {}))
            if (body[1] == "process-failed") ++last[body[2].get<std::string>()];
        return last.size() == records.size();
    };
    ASSERT_TRUE(wait(count));
    run_for(50ms);
    EXPECT_TRUE(count());
    for (const auto& [object, times] : last)
        EXPECT_EQ(times, 1) << object;
}

// Its processes go there with it, with other ids, and run on.
TEST_F(EventsTest, AnotherFleetIsNoNews) {
    events.start();
    FleetRecord about;
    about.zone = "other.example";
    about.root = "root2";
    NodeRecord root2;
    root2.name = "root2";
    root2.key = std::string(64, 'f');
    auto moved = wiki;
    moved.id = 77;
    commit({{std::string(keys::fleet), to_json(about)},
            {keys::node("root1"), std::nullopt},
            {keys::node("root2"), to_json(root2)},
            {keys::process("wiki"), to_json(moved)}});
    EXPECT_THAT(told(), IsEmpty());
    report(moved, ProcessState::Running);
    EXPECT_THAT(told(), IsEmpty());
    StopReason reason;
    reason.at = "2026-01-02T03:07:00Z";
    report(moved, ProcessState::Failed, reason);
    EXPECT_THAT(told(), ElementsAre("process-failed /org/p2prc1/process/77"));
}

} // namespace
} // namespace p2prc::daemon
