#include "net/spawn.h"
#include "process/systemd_bus.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/private_bus.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <systemd/sd-bus.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <utility>

namespace p2prc::process {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

const std::string manager_path = "/org/freedesktop/systemd1";
const std::string unit_interface = "org.freedesktop.systemd1.Unit";

std::string path_of(const std::string& unit) {
    return dbus::path_encode(manager_path + "/unit", unit);
}

// As much of systemd's manager as listing its units takes.
class SystemdBusTest : public testing::Test {
  protected:
    void SetUp() override {
        manager = bus.connect();
        own = bus.connect();
        dbus::Interface interface{"org.freedesktop.systemd1.Manager"};
        interface.methods.push_back({"Subscribe", {}, {}, [](dbus::Message call) { return empty(call); }});
        interface.methods.push_back({"ListUnitsByPatterns",
                                     {{"as", "states"}, {"as", "patterns"}},
                                     {{"a(ssssssouso)", "units"}},
                                     [this](dbus::Message call) { return list(call); }});
        interface.methods.push_back(
            {"StartTransientUnit",
             {{"s", "name"}, {"s", "mode"}, {"a(sv)", "properties"}, {"a(sa(sv))", "aux"}},
             {{"o", "job"}},
             [this](dbus::Message call) { return start(call); }});
        // A stop that its process puts off, without `on_stop`: it ends when the process is killed.
        interface.methods.push_back(
            {"StopUnit", {{"s", "name"}, {"s", "mode"}}, {{"o", "job"}}, [this](dbus::Message call) {
                 return stop(call);
             }});
        interface.methods.push_back(
            {"KillUnit", {{"s", "name"}, {"s", "whom"}, {"i", "signal"}}, {}, [this](dbus::Message call) {
                 return kill(call);
             }});
        objects.push_back(manager->add_object(manager_path, interface).value());
        for (const auto& [unit, state] : states)
            add(unit);
        ASSERT_TRUE(bus.run(manager->request_name("org.freedesktop.systemd1")));
    }

    static asio::awaitable<Result<dbus::Message>> empty(dbus::Message call) { co_return call.new_reply(); }
    asio::awaitable<Result<dbus::Message>> list(dbus::Message call) {
        ++lists;
        if (bad_lists > 0) {
            --bad_lists;
            co_return fail(ErrorCode::Failed, "the manager executes itself anew");
        }
        auto reply = call.new_reply();
        sd_bus_message_open_container(reply->get(), 'a', "(ssssssouso)");
        for (const auto& [unit, state] : states)
            sd_bus_message_append(reply->get(), "(ssssssouso)", unit.c_str(), "", "loaded", state.c_str(), "",
                                  "", path_of(unit).c_str(), 0, "", "/");
        sd_bus_message_close_container(reply->get());
        co_return reply;
    }

    // Every name in `states` is in use; any other is free, and its job is over at once.
    asio::awaitable<Result<dbus::Message>> start(dbus::Message call) {
        const char* unit = nullptr;
        sd_bus_message_read(call.get(), "s", &unit);
        if (states.contains(unit)) {
            sd_bus_message* error = nullptr;
            sd_bus_message_new_method_errorf(call.get(), &error, "org.freedesktop.systemd1.UnitExists",
                                             "it exists");
            co_return dbus::Message::adopt(error);
        }
        if (starts_stay) states[unit] = "active";
        auto reply = call.new_reply();
        sd_bus_message_append(reply->get(), "o", "/job/1");
        asio::post(bus.io, [this, name = std::string(unit)] {
            auto signal = manager->new_signal(manager_path, "org.freedesktop.systemd1.Manager", "JobRemoved");
            sd_bus_message_append(signal->get(), "uoss", 1, "/job/1", name.c_str(), "done");
            EXPECT_TRUE(manager->send(*signal));
        });
        co_return reply;
    }
    asio::awaitable<Result<dbus::Message>> stop(dbus::Message call) {
        auto reply = call.new_reply();
        sd_bus_message_append(reply->get(), "o", "/job/2");
        const char* unit = nullptr;
        sd_bus_message_read(call.get(), "s", &unit);
        if (on_stop)
            asio::post(bus.io, [this, name = std::string(unit)] {
                on_stop();
                stop_is_over(name);
            });
        co_return reply;
    }
    void stop_is_over(const std::string& unit) {
        auto over = manager->new_signal(manager_path, "org.freedesktop.systemd1.Manager", "JobRemoved");
        sd_bus_message_append(over->get(), "uoss", 2, "/job/2", unit.c_str(), "done");
        EXPECT_TRUE(manager->send(*over));
    }
    asio::awaitable<Result<dbus::Message>> kill(dbus::Message call) {
        const char *unit = nullptr, *whom = nullptr;
        int signal = 0;
        sd_bus_message_read(call.get(), "ssi", &unit, &whom, &signal);
        killed = std::string(unit) + " " + whom + " " + std::to_string(signal);
        asio::post(bus.io, [this, name = std::string(unit)] { stop_is_over(name); });
        co_return call.new_reply();
    }
    void remove(const std::string& unit) {
        states.erase(unit);
        auto signal = manager->new_signal(manager_path, "org.freedesktop.systemd1.Manager", "UnitRemoved");
        sd_bus_message_append(signal->get(), "so", unit.c_str(), path_of(unit).c_str());
        EXPECT_TRUE(manager->send(*signal));
    }

    void add(const std::string& unit) {
        dbus::Interface common{unit_interface};
        common.properties = {text("ActiveState",
                                  [this, unit] { // an empty unit of its name when there is none
                                      const auto known = states.find(unit);
                                      return known == states.end() ? "inactive" : known->second;
                                  }),
                             text("SubState", [this] { return sub_state; }),
                             {"Transient", "b", dbus::Emits::Nothing,
                              [](const std::string&, const dbus::Message& reply) -> Result<void> {
                                  sd_bus_message_append(reply.get(), "b", 1);
                                  return {};
                              }}};
        dbus::Interface service{"org.freedesktop.systemd1.Service"};
        service.properties = {number("ExecMainCode", [this] { return main_code; }),
                              number("ExecMainStatus", [this] { return main_status; }),
                              text("Slice",
                                   [this, unit] {
                                       if (on_read) asio::post(bus.io, [this, unit] { on_read(unit); });
                                       return slices.contains(unit) ? slices[unit] : "p2prc.slice";
                                   }),
                              {"LogExtraFields", "aay", dbus::Emits::Nothing,
                               [this](const std::string&, const dbus::Message& reply) -> Result<void> {
                                   sd_bus_message_open_container(reply.get(), 'a', "ay");
                                   sd_bus_message_append_array(reply.get(), 'y', field.data(), field.size());
                                   sd_bus_message_close_container(reply.get());
                                   return {};
                               }}};
        objects.push_back(manager->add_object(path_of(unit), common).value());
        objects.push_back(manager->add_object(path_of(unit), service).value());
    }
    static dbus::Property text(const char* name, std::function<std::string()> value) {
        return {name, "s", dbus::Emits::Change,
                [value](const std::string&, const dbus::Message& reply) -> Result<void> {
                    sd_bus_message_append(reply.get(), "s", value().c_str());
                    return {};
                }};
    }
    static dbus::Property number(const char* name, std::function<int()> value) {
        return {name, "i", dbus::Emits::Change,
                [value](const std::string&, const dbus::Message& reply) -> Result<void> {
                    sd_bus_message_append(reply.get(), "i", value());
                    return {};
                }};
    }
    bool eventually(const std::function<bool()>& condition) {
        const auto wait = [&]() -> asio::awaitable<Result<bool>> {
            for (int round = 0; round < 4000 && !condition(); ++round)
                co_await test::sleep_for(std::chrono::milliseconds(5));
            co_return condition();
        };
        return bus.run(wait()).value();
    }
    void become(const std::string& unit, const std::string& state) {
        states[unit] = state;
        EXPECT_TRUE(manager->emit_properties_changed(path_of(unit), unit_interface, {"ActiveState"}));
    }

    fs::path file_of(const std::string& unit) const {
        return drop_ins / (unit + ".d") / "p2prc-command.conf";
    }
    void leave_behind(const std::string& unit) const {
        fs::create_directories(file_of(unit).parent_path());
        std::ofstream(file_of(unit)) << "old";
    }

    const net::TemporaryDirectory temporary;
    const fs::path drop_ins = temporary.path() / "system";
    test::PrivateBus bus;
    std::string field = "FLEET_PROCESS=7";
    std::map<std::string, std::string> states{{"p2prc-mail.service", "active"},
                                              {"p2prc-web.service", "active"}};
    std::map<std::string, std::string> slices; // of units that are in another than that of all processes
    std::function<void(const std::string& unit)> on_read;
    std::function<void()> on_stop; // before a job to stop is over
    std::string killed;            // by KillUnit
    bool starts_stay = false;      // what is started is active when its job is over
    std::string sub_state;         // of every unit, as the following
    int main_code = 0;
    int main_status = 0;
    int lists = 0;     // that were asked for
    int bad_lists = 0; // the next ones
    std::unique_ptr<dbus::Bus> manager, own;
    std::vector<dbus::Registration> objects;
};

TEST_F(SystemdBusTest, AListIsTrueWhenItIsReturned) {
    SystemdBus systemd(*own, drop_ins);
    ASSERT_TRUE(bus.run(systemd.connect()));
    // While the second is read, the first ends and a third begins.
    on_read = [this, done = false](const std::string& unit) mutable {
        if (unit != "p2prc-web.service" || std::exchange(done, true)) return;
        become("p2prc-mail.service", "failed");
        states["p2prc-wiki.service"] = "activating";
        add("p2prc-wiki.service");
        become("p2prc-wiki.service", "active");
    };
    const auto units = bus.run(systemd.units());
    ASSERT_TRUE(units) << units.error().message;
    std::map<std::string, std::string> found;
    for (const auto& view : *units) {
        found[view.unit] = view.active_state;
        EXPECT_EQ(view.process, 7U);
    }
    EXPECT_EQ(found, states);
    EXPECT_EQ(found.size(), 3U);
}

TEST_F(SystemdBusTest, UnitsInSlicesOfOwnersAreOurs) {
    slices = {{"p2prc-mail.service", "p2prc-den.slice"}, {"p2prc-web.service", "system.slice"}};
    SystemdBus systemd(*own, drop_ins);
    ASSERT_TRUE(bus.run(systemd.connect()));
    const auto units = bus.run(systemd.units());
    ASSERT_TRUE(units) << units.error().message;
    ASSERT_EQ(units->size(), 1U);
    EXPECT_EQ(units->front().unit, "p2prc-mail.service");
}

// systemctl daemon-reexec: the manager says that it is done, and answers badly for a while.
TEST_F(SystemdBusTest, UnitsAreReadAgainUntilTheManagerAnswers) {
    SystemdBus systemd(*own, drop_ins);
    ASSERT_TRUE(bus.run(systemd.connect()));
    ASSERT_TRUE(bus.run(systemd.units()));
    std::optional<std::vector<UnitView>> resynced;
    systemd.on_events(
        {.changed = {}, .gone = {}, .outside_job = {}, .resynced = [&](const auto& all) { resynced = all; }});
    // A unit of which no signal told.
    states["p2prc-wiki.service"] = "active";
    add("p2prc-wiki.service");
    lists = 0;
    bad_lists = 2;
    auto reloading = manager->new_signal(manager_path, "org.freedesktop.systemd1.Manager", "Reloading");
    sd_bus_message_append(reloading->get(), "b", 0);
    ASSERT_TRUE(manager->send(*reloading));
    ASSERT_TRUE(eventually([&] { return resynced.has_value(); }));
    EXPECT_EQ(lists, 3);
    EXPECT_EQ(resynced->size(), 3U);
}

class SystemdBusStartTest : public SystemdBusTest {
  protected:
    void SetUp() override {
        SystemdBusTest::SetUp();
        fs::create_directory(drop_ins);
        systemd = std::make_unique<SystemdBus>(*own, drop_ins);
        ASSERT_TRUE(bus.run(systemd->connect()));
        ASSERT_TRUE(bus.run(systemd->units()));
    }

    Result<std::string> start_web() {
        TransientUnit content{{}, "[Service]\nExecStart=:/bin/new\n"};
        return bus.run(systemd->start_transient(web, content, JobShare{}));
    }
    std::string drop_in() const {
        std::ifstream file(file_of(web));
        return {std::istreambuf_iterator<char>(file), {}};
    }

    const std::string web = "p2prc-web.service";
    std::unique_ptr<SystemdBus> systemd;
};

TEST_F(SystemdBusStartTest, WhatPutsOffItsEndIsKilled) {
    SystemdBus impatient(*own, drop_ins, std::chrono::milliseconds(200));
    ASSERT_TRUE(bus.run(impatient.connect()));
    const auto stopped = bus.run(impatient.stop(web, JobShare{}));
    ASSERT_TRUE(stopped) << stopped.error().message;
    EXPECT_EQ(*stopped, "done");
    EXPECT_EQ(killed, web + " all 9");
}

// The manager has one job for both.
TEST_F(SystemdBusStartTest, WhoeverWaitsForAJobIsTold) {
    std::vector<std::string> words;
    const auto stop = [&]() -> asio::awaitable<void> {
        auto name = web;
        JobShare share;
        const auto stopped = co_await systemd->stop(std::move(name), std::move(share));
        words.push_back(stopped ? *stopped : stopped.error().message);
    };
    bool asked = false;
    on_stop = [&] { asked = true; };
    asio::co_spawn(bus.io, stop(), net::ReportFailure("a stop"));
    asio::co_spawn(bus.io, stop(), net::ReportFailure("a stop"));
    EXPECT_TRUE(eventually([&] { return words.size() == 2; }));
    EXPECT_TRUE(asked);
    EXPECT_EQ(words, (std::vector<std::string>{"done", "done"}));
}

// Of what was killed: systemd removes the unit before it says that the job is over, or after it.
TEST_F(SystemdBusStartTest, AStopLeavesNoCommandBehind) {
    for (const bool within_the_job : {true, false}) {
        states[web] = "active";
        ASSERT_TRUE(bus.run(systemd->units()));
        leave_behind(web);
        on_stop = [this, within_the_job] {
            become(web, "inactive");
            if (within_the_job) remove(web);
        };
        const auto stopped = bus.run(systemd->stop(web, JobShare{}));
        ASSERT_TRUE(stopped) << stopped.error().message;
        EXPECT_EQ(*stopped, "done");
        bool gone = within_the_job;
        systemd->on_events(
            {.changed = {}, .gone = [&](const auto&) { gone = true; }, .outside_job = {}, .resynced = {}});
        if (!within_the_job) remove(web);
        ASSERT_TRUE(eventually([&] { return gone; }));
        EXPECT_TRUE(fs::is_empty(drop_ins)) << within_the_job;
    }
}

// One of p2prcd's own units has run when the job is over.
TEST_F(SystemdBusStartTest, AProbeLeavesNoCommandBehind) {
    TransientUnit content{{}, "[Service]\nExecStart=:/bin/true\n"};
    const auto ran = bus.run(systemd->start_transient("p2prcd-probe-web.service", content, JobShare{}));
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_TRUE(fs::is_empty(drop_ins));
}

// No job of systemd lasts as long as it: a machine that boots would wait for that.
TEST_F(SystemdBusStartTest, ARunIsWaitedForWithoutAJob) {
    struct Row {
        const char *state, *sub_state;
        int code, status;
        const char* result;
    };
    const std::string unit = "p2prcd-deploy-web.service";
    add(unit);
    starts_stay = true;
    for (const auto& row :
         {Row{"active", "exited", CLD_EXITED, 0, "done"},
          Row{"active", "exited", CLD_KILLED, SIGTERM, "failed"},
          Row{"failed", "failed", CLD_EXITED, 75, "failed"}, Row{"inactive", "dead", 0, 0, "canceled"}}) {
        sub_state = "running";
        main_code = main_status = 0;
        bool ended = false;
        on_read = [&](const std::string& read) {
            if (read != unit || std::exchange(ended, true)) return;
            sub_state = row.sub_state;
            main_code = row.code;
            main_status = row.status;
            become(unit, row.state);
        };
        const TransientUnit content{.properties = {},
                                    .drop_in = "[Service]\nExecStart=:/bin/true\n",
                                    .run_limit = std::chrono::minutes(10)};
        const auto ran = bus.run(systemd->start_transient(unit, content, JobShare{}));
        ASSERT_TRUE(ran) << ran.error().message;
        EXPECT_TRUE(ended);
        EXPECT_EQ(*ran, row.result);
        EXPECT_TRUE(fs::exists(file_of(unit)));
        on_stop = [&] { remove(unit); };
        ASSERT_TRUE(bus.run(systemd->stop(unit, JobShare{})));
        EXPECT_FALSE(fs::exists(file_of(unit)));
    }
}

TEST_F(SystemdBusStartTest, ARunThatDoesNotEndIsOverAtItsLimit) {
    const std::string unit = "p2prcd-deploy-web.service";
    add(unit);
    starts_stay = true;
    const TransientUnit content{.properties = {}, .drop_in = "", .run_limit = std::chrono::seconds(0)};
    const auto ran = bus.run(systemd->start_transient(unit, content, JobShare{}));
    ASSERT_TRUE(ran) << ran.error().message;
    EXPECT_EQ(*ran, "timeout");
}

TEST_F(SystemdBusStartTest, CommandsThatBelongToNoUnitAreSwept) {
    leave_behind(web);
    leave_behind("p2prc-gone.service");
    leave_behind("p2prc-unloaded.service");
    fs::create_directory(temporary.path() / "transient");
    std::ofstream(temporary.path() / "transient/p2prc-unloaded.service") << "[Unit]\n";
    fs::create_directory(drop_ins / "p2prc-admins.service.d");
    std::ofstream(drop_ins / "p2prc-admins.service.d/limits.conf") << "[Service]\n";
    ASSERT_TRUE(bus.run(systemd->units()));
    EXPECT_EQ(drop_in(), "old");
    EXPECT_FALSE(fs::exists(drop_ins / "p2prc-gone.service.d"));
    EXPECT_TRUE(fs::exists(file_of("p2prc-unloaded.service")));
    EXPECT_TRUE(fs::exists(drop_ins / "p2prc-admins.service.d/limits.conf"));
}

TEST_F(SystemdBusStartTest, AUnitThatHasEndedMakesWayWhenItIsRemoved) {
    for (const auto* state : {"inactive", "deactivating"}) {
        states[web] = state;
        on_read = [this](const std::string& unit) {
            if (unit == web) remove(web);
        };
        const auto started = start_web();
        ASSERT_TRUE(started) << started.error().message;
        EXPECT_EQ(*started, "done");
        EXPECT_EQ(drop_in(), "[Service]\nExecStart=:/bin/new\n");
    }
}

TEST_F(SystemdBusStartTest, AnothersUnitKeepsItsNameAndItsCommand) {
    field = "OTHER=7";
    bool told = false;
    systemd->on_events(
        {.changed = [&](const UnitView&) { told = true; }, .gone = {}, .outside_job = {}, .resynced = {}});
    auto started = start_web();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::Conflict);
    EXPECT_NE(started.error().message.find("not made by p2prc"), std::string::npos)
        << started.error().message;
    EXPECT_FALSE(told);
    EXPECT_FALSE(fs::exists(drop_ins / (web + ".d")));
    // An earlier command stays as it was.
    leave_behind(web);
    EXPECT_FALSE(start_web());
    EXPECT_EQ(drop_in(), "old");
}

TEST_F(SystemdBusStartTest, NoCommandIsWrittenForWhatIsNoUnit) {
    const auto escaped = drop_ins / "victim.service.d";
    TransientUnit content{{}, "[Service]\nExecStart=:/bin/new\n"};
    const auto started = bus.run(systemd->start_transient("p2prc-x/../victim.service", content, JobShare{}));
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::InvalidSpec);
    EXPECT_FALSE(fs::exists(escaped));
    EXPECT_TRUE(fs::is_empty(drop_ins));
}

TEST_F(SystemdBusStartTest, APropertyThatCannotBeWrittenLeavesNoCommandBehind) {
    TransientUnit content{{{"Description", "s", "a\nb"}}, "[Service]\nExecStart=:/bin/new\n"};
    const auto started = bus.run(systemd->start_transient(web, content, JobShare{}));
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::InvalidSpec);
    EXPECT_TRUE(fs::is_empty(drop_ins));
}

TEST_F(SystemdBusStartTest, AUnitOfOursThatWasNotKnownIsTold) {
    std::vector<UnitView> told;
    systemd->on_events({.changed = [&](const UnitView& view) { told.push_back(view); },
                        .gone = {},
                        .outside_job = {},
                        .resynced = {}});
    const auto started = start_web();
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::Conflict);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].unit, web);
    EXPECT_EQ(told[0].process, 7U);
    EXPECT_TRUE(told[0].up());
}

} // namespace
} // namespace p2prc::process
