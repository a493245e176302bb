#include "dbus/codec.h"
#include "process/command_drop_in.h"
#include "process/deploy_unit.h"
#include "process/transient_unit.h"
#include "process/unit_names.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace p2prc::process {
namespace {

ProcessRecord calendar() {
    ProcessRecord record;
    record.id = 7;
    record.name = "calendar";
    record.node = "home1";
    record.port = 5232;
    record.digest = std::string(64, 'a');
    record.created_by = "alice@home1";
    record.spec.name = "calendar";
    record.spec.port = 5232;
    record.spec.run.command = {"/usr/bin/radicale", "--server-hosts", "127.0.0.1:5232"};
    return record;
}

std::string render(const Result<TransientUnit>& unit) {
    std::string text;
    for (const auto& property : unit->properties) {
        EXPECT_TRUE(dbus::fits(property.signature, property.value, {.exact = true})) << property.name;
        text += property.name + " " + property.signature + " " + property.value.dump() + "\n";
    }
    return text + "\n" + unit->drop_in;
}

// P2PRC_UPDATE_GOLDEN=1 writes what is rendered now; the difference is then reviewed like code.
void expect_golden(const std::string& name, const std::string& text) {
    const std::string path = test::source_path("tests/unit/process/golden/" + name);
    if (std::getenv("P2PRC_UPDATE_GOLDEN")) std::ofstream(path) << text;
    std::ifstream file(path);
    std::stringstream expected;
    expected << file.rdbuf();
    EXPECT_EQ(expected.str(), text) << path;
}

const UnitProperty* find(const std::vector<UnitProperty>& properties, std::string_view name) {
    for (const auto& property : properties)
        if (property.name == name) return &property;
    return nullptr;
}

TEST(TransientUnit, PlainProcess) {
    expect_golden("plain.txt", render(transient_unit(calendar(), "home1", Origin::Local)));
}

TEST(TransientUnit, EverythingSet) {
    auto record = calendar();
    auto& run = record.spec.run;
    run.command = {"exec radicale --hosts 127.0.0.1:$PORT"};
    run.shell = true;
    run.kill = {"/usr/bin/radicale-stop", "$MAINPID"};
    run.environment = {{"TZ", "UTC"}, {"HOME", "/srv/calendar"}};
    run.credentials = {{"htpasswd", "/etc/radicale/users"}};
    run.restart = Restart::Always;
    record.spec.limits = {512 << 20, 150, 256};
    expect_golden("everything.txt", render(transient_unit(record, "home1", Origin::Remote)));
}

TEST(TransientUnit, OwnUser) {
    auto record = calendar();
    record.spec.run.user = "radicale";
    record.spec.run.data = false;
    record.spec.run.restart = Restart::No;
    record.port.reset();
    expect_golden("user.txt", render(transient_unit(record, "home1", Origin::Local)));
}

TEST(TransientUnit, WhatSaysWhenItIsReady) {
    auto record = calendar();
    record.spec.ready = {.probe = Probe{.kind = Probe::Kind::Notify}, .timeout = std::chrono::seconds(90)};
    for (const auto origin : {Origin::Local, Origin::Remote}) {
        const auto properties = transient_unit(record, "home1", origin)->properties;
        EXPECT_EQ(find(properties, "Type")->value, "notify");
        EXPECT_EQ(find(properties, "TimeoutStartUSec")->value, 90'000'000);
        EXPECT_EQ(find(properties, "NotifyAccess")->value, "all") << "a command often runs under a shell";
        if (origin == Origin::Remote) {
            EXPECT_EQ(find(properties, "InaccessiblePaths")->value.dump(), R"(["-/run/systemd/journal"])");
        }
    }
    record.spec.ready.probe->kind = Probe::Kind::Port;
    EXPECT_EQ(find(transient_unit(record, "home1", Origin::Local)->properties, "Type")->value, "exec");
}

TEST(TransientUnit, AProbeRunsAsItsProcessDoes) {
    auto record = calendar();
    record.spec.run.environment = {{"TZ", "UTC"}};
    record.spec.limits = {512 << 20, 150, 256};
    const Probe probe{.kind = Probe::Kind::Command, .command = {"curl -s $PORT\nexit"}, .shell = true};
    expect_golden("probe.txt", render(probe_unit(record, Origin::Remote, probe)));
    const auto process = transient_unit(record, "home1", Origin::Remote)->properties;
    const auto asked = probe_unit(record, Origin::Remote, probe)->properties;
    const auto from = [](const std::vector<UnitProperty>& all) {
        const auto begin = std::ranges::find(all, std::string("DynamicUser"), &UnitProperty::name);
        return std::vector<UnitProperty>(begin, all.end());
    };
    EXPECT_EQ(from(asked), from(process));
    EXPECT_EQ(find(asked, "LogExtraFields"), nullptr) << "it is not taken for the process";
    EXPECT_EQ(process_of_unit(probe_unit_name("calendar")), "");
    record.spec.run.user = "radicale";
    EXPECT_EQ(find(probe_unit(record, Origin::Local, probe)->properties, "User")->value, "radicale");
    record.name = "../x";
    EXPECT_FALSE(probe_unit(record, Origin::Local, probe));
}

// systemd 252 writes them into the unit's file as they are: a newline would begin a setting of its own.
TEST(TransientUnit, NothingBeginsAnotherLineOfTheUnit) {
    const std::string line = "x\nExecCondition=+/bin/touch /root/pwned";
    const auto refused = [](const ProcessRecord& record) {
        const auto unit = transient_unit(record, "home1", Origin::Local);
        return !unit && unit.error().code == ErrorCode::InvalidSpec;
    };
    auto record = calendar();
    record.name = line;
    EXPECT_TRUE(refused(record));
    record.spec.name = line;
    EXPECT_TRUE(refused(record));
    record = calendar();
    record.digest = line;
    EXPECT_TRUE(refused(record));
    record = calendar();
    record.spec.run.user = line;
    EXPECT_TRUE(refused(record));
    record = calendar();
    record.spec.run.credentials = {{"users", "/etc/" + line}};
    EXPECT_TRUE(refused(record));
    record.spec.run.credentials = {{line, "/etc/users"}};
    EXPECT_TRUE(refused(record));
    record = calendar();
    EXPECT_FALSE(transient_unit(record, line, Origin::Local));
    record.spec.run.environment = {{"MOTD", "two\nlines"}};
    EXPECT_FALSE(refused(record));
}

TEST(TransientUnit, ARecordIsOfOneProcess) {
    for (const auto* name : {"radicale", "x/../../y", "edge", "", "Calendar"}) {
        auto record = calendar();
        record.name = name;
        EXPECT_FALSE(transient_unit(record, "home1", Origin::Local)) << name;
    }
}

TEST(UnitNames, AreOneFileName) {
    for (const auto* name : {"p2prc-web.service", "p2prcd-acme-wildcard:home.example.service", "a@b.service"})
        EXPECT_EQ(check_unit_name(name).has_value(),
                  std::string_view(name).find('@') == std::string_view::npos);
    for (const auto* name : {"p2prc-x/../../system/cron.service", ".service", ".x.service", "p2prc-x.socket",
                             "p2prc-a\nb.service", ""})
        EXPECT_FALSE(check_unit_name(name)) << name;
    EXPECT_FALSE(check_unit_name(std::string(250, 'a') + ".service"));
}

TEST(TransientUnit, LowPortNeedsItsCapability) {
    auto record = calendar();
    record.port = 443;
    const auto properties = transient_unit(record, "home1", Origin::Local)->properties;
    ASSERT_TRUE(find(properties, "AmbientCapabilities"));
    EXPECT_EQ(find(properties, "AmbientCapabilities")->value, 1024);
    EXPECT_EQ(find(properties, "CapabilityBoundingSet")->value, 1024);
}

TEST(TransientUnit, UserIsNeverLeftToSystemd) {
    const auto properties = transient_unit(calendar(), "home1", Origin::Local)->properties;
    ASSERT_TRUE(find(properties, "User"));
    EXPECT_EQ(find(properties, "User")->value, "p2p-calendar");
}

// Two processes of one user may read each other's files, environment and credentials by /proc/PID.
TEST(TransientUnit, NoTwoProcessesHaveOneUserWhateverTheirIds) {
    auto twin = calendar();
    twin.name = twin.spec.name = "twin";
    const auto user = [](const ProcessRecord& record) {
        return find(transient_unit(record, "home1", Origin::Remote)->properties, "User")->value;
    };
    EXPECT_EQ(twin.id, calendar().id);
    EXPECT_NE(user(twin), user(calendar()));
}

TEST(UnitNames, UsersOfLongNamesAreShortAndTheirOwn) {
    const std::string longest(42, 'a');
    const auto user = dynamic_user(longest);
    EXPECT_EQ(user.size(), 31U); // systemd's limit
    EXPECT_TRUE(user.starts_with("p2p_")) << user;
    EXPECT_NE(user, dynamic_user(longest.substr(1)));
    EXPECT_EQ(dynamic_user(std::string(27, 'a')), "p2p-" + std::string(27, 'a'));
    EXPECT_EQ(dynamic_user(std::string(28, 'a')).size(), 31U);
}

TEST(TransientUnit, AnotherNodesProcessCannotPutOffItsEnd) {
    const auto access = [](Origin origin) {
        return find(transient_unit(calendar(), "home1", origin)->properties, "NotifyAccess")->value;
    };
    EXPECT_EQ(access(Origin::Remote), "none");
    EXPECT_EQ(access(Origin::Local), "all");
}

TEST(TransientUnit, AUserListensAtALowPortAndAtNoOther) {
    auto record = calendar();
    record.port = 443;
    record.spec.run.user = "caddy";
    auto properties = transient_unit(record, "home1", Origin::Local)->properties;
    ASSERT_TRUE(find(properties, "AmbientCapabilities"));
    EXPECT_EQ(find(properties, "AmbientCapabilities")->value, 1024);
    EXPECT_EQ(find(properties, "CapabilityBoundingSet"), nullptr); // its other rights stay
    EXPECT_EQ(find(properties, "SocketBindAllow")->value.dump(), "[[0,0,1,443]]");
    EXPECT_EQ(find(properties, "SocketBindDeny")->value.dump(), "[[0,0,1023,1]]");
    record.port = 8443;
    properties = transient_unit(record, "home1", Origin::Local)->properties;
    EXPECT_EQ(find(properties, "AmbientCapabilities"), nullptr);
    EXPECT_EQ(find(properties, "SocketBindDeny"), nullptr);
}

// Port 0, for which the kernel chooses one, is in none of the rules.
TEST(TransientUnit, TheSandboxListensAtItsPortOnly) {
    auto record = calendar();
    auto properties = transient_unit(record, "home1", Origin::Remote)->properties;
    EXPECT_EQ(find(properties, "SocketBindAllow")->value.dump(), "[[0,0,1,5232]]");
    EXPECT_EQ(find(properties, "SocketBindDeny")->value.dump(), "[[0,0,65535,1]]");
    record.port.reset();
    properties = transient_unit(record, "home1", Origin::Remote)->properties;
    EXPECT_EQ(find(properties, "SocketBindAllow"), nullptr);
    EXPECT_EQ(find(properties, "SocketBindDeny")->value.dump(), "[[0,0,65535,1]]");
}

TEST(TransientUnit, TheRuleForItsPorts) {
    auto record = calendar();
    EXPECT_EQ(bind_rule(record), (BindRule{{5232}, false}));
    record.port.reset();
    EXPECT_EQ(bind_rule(record), BindRule{});
    record.spec.run.user = "caddy";
    EXPECT_EQ(bind_rule(record), std::nullopt);
    record.port = 8443;
    EXPECT_EQ(bind_rule(record), std::nullopt);
    record.port = 443;
    EXPECT_EQ(bind_rule(record), (BindRule{{443}, true}));
    record.spec.run.user = "root";
    EXPECT_EQ(bind_rule(record), std::nullopt);
}

TEST(TransientUnit, FurtherPortsAreItsOwnToo) {
    auto record = calendar();
    record.spec.ports = {443, 22000};
    EXPECT_EQ(bind_rule(record), (BindRule{{443, 5232, 22000}, false}));
    const auto properties = transient_unit(record, "home1", Origin::Remote)->properties;
    EXPECT_EQ(find(properties, "SocketBindAllow")->value.dump(), "[[0,0,1,443],[0,0,1,5232],[0,0,1,22000]]");
    EXPECT_NE(find(properties, "AmbientCapabilities"), nullptr);
    EXPECT_FALSE(check_remote_port(RemoteSpin::Sandboxed, record, false)) << "as if it were its port";
    EXPECT_TRUE(check_remote_port(RemoteSpin::Sandboxed, record, true));
    record.spec.ports = {22000};
    record.port.reset();
    EXPECT_EQ(bind_rule(record), (BindRule{{22000}, false}));
    EXPECT_TRUE(check_remote_port(RemoteSpin::Sandboxed, record, false));
}

TEST(TransientUnit, TheProgramsOfItsRule) {
    TransientUnit content{{}, "[Service]\nExecStart=:/bin/true\n"};
    add_bind_programs(content, {{443}, true});
    const auto& properties = content.properties;
    ASSERT_EQ(properties.size(), 1U);
    EXPECT_EQ(properties[0].name, "BPFProgram");
    EXPECT_EQ(properties[0].signature, "a(ss)");
    EXPECT_EQ(properties[0].value.dump(),
              R"([["bind4","/sys/fs/bpf/p2prc/bind4-low-443"],["bind6","/sys/fs/bpf/p2prc/bind6-low-443"]])");
    EXPECT_TRUE(content.drop_in.starts_with("[Service]\nExecStart=:/bin/true\nExecCondition=+/"))
        << content.drop_in;
    EXPECT_TRUE(content.drop_in.ends_with("/p2prcd-ports --attach low-443\n")) << content.drop_in;
}

TEST(TransientUnit, AnotherTryIsASingleOne) {
    const auto burst = [](Attempt attempt) {
        return find(transient_unit(calendar(), "home1", Origin::Local, attempt)->properties,
                    "StartLimitBurst")
            ->value;
    };
    EXPECT_EQ(burst(Attempt::First), 5);
    EXPECT_EQ(burst(Attempt::Again), 1);
}

TEST(RemoteSpinPolicy, ALowPortTakesASystemdThatConfinesPorts) {
    auto record = calendar();
    EXPECT_TRUE(check_remote_port(RemoteSpin::Sandboxed, record, false));
    record.port = 81;
    EXPECT_TRUE(check_remote_port(RemoteSpin::Sandboxed, record, true));
    EXPECT_TRUE(check_remote_port(RemoteSpin::Any, record, false));
    const auto refused = check_remote_port(RemoteSpin::Sandboxed, record, false);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::NotPermitted);
    EXPECT_NE(refused.error().message.find("81"), std::string::npos);
}

TEST(CommandDropIn, ArgumentsStandAsTheyWereWritten) {
    RunSpec run;
    run.command = {"/bin/echo", "$HOME", "${X}", "100%n", ";", "a\\b", "\"q\"", "two\nlines", "it's", ""};
    EXPECT_EQ(*command_drop_in(run), R"([Service]
ExecStart=:"/bin/echo" "$HOME" "${X}" "100%%n" ";" "a\\b" "\"q\"" "two\x0alines" "it's" ""
)");
}

TEST(CommandDropIn, ProgramsThatWouldBePrefixesAreRefused) {
    for (const auto* program :
         {"+/bin/sh", "!/bin/sh", "-true", "@sh", ":sh", "|sh", "", " sh", "\n+/bin/sh"}) {
        RunSpec run;
        run.command = {program};
        EXPECT_FALSE(command_drop_in(run)) << program;
        run.command = {"/bin/true"};
        run.kill = {program};
        EXPECT_EQ(command_drop_in(run).has_value(), false) << program;
    }
}

TEST(CommandDropIn, AStopCommandIsFollowedByAWait) {
    RunSpec run;
    run.command = {"/bin/sleep", "1"};
    run.kill = {"/bin/stop", "$MAINPID"};
    EXPECT_EQ(*command_drop_in(run), R"([Service]
ExecStart=:"/bin/sleep" "1"
ExecStop=:"/bin/sh" "-c" "[ -z \"$MAINPID\" ] || exec \"$@\"" "run.kill" "/bin/stop" "$MAINPID"
ExecStop=:"/bin/sh" "-c" "[ -z \"$MAINPID\" ] || timeout 29 tail --pid=\"$MAINPID\" -s 0.1 -f /dev/null; exit 0"
)");
}

// A part of the commands around it runs as root, with the unit's variables.
TEST(DeployUnit, ABuilderHasNoVariablesOfTheProcess) {
    auto record = calendar();
    record.spec.run.environment["PATH"] = "/var/lib/p2prc-data/calendar";
    const DeployRun run{.program = "/usr/lib/p2prc/deployers/image",
                        .as = DeployerClass::Builder,
                        .place = "p2prc-deploy/calendar/x",
                        .work = "p2prc-deploy/.builder/calendar.x",
                        .cache = "p2prc-deploy/.builder/cache/image",
                        .environment = {{"P2PRC_API", "1"}}};
    const auto unit = deploy_unit(record, "home1", Origin::Remote, run);
    ASSERT_TRUE(unit) << unit.error().message;
    const auto variables = std::ranges::find(unit->properties, "Environment", &UnitProperty::name);
    ASSERT_NE(variables, unit->properties.end());
    EXPECT_EQ(variables->value, nlohmann::json::array({"P2PRC_API=1"}));
}

// It makes the links of volumes by itself: a link in what it has unpacked is not followed by root.
TEST(DeployUnit, OneThatRunsAsRootOpensItsDirectoryOnly) {
    for (const auto as : {DeployerClass::Root, DeployerClass::Process}) {
        const auto unit =
            deploy_unit(calendar(), "home1", Origin::Local,
                        {.program = "/etc/p2prc/deployers/x", .as = as, .place = "p2prc-deploy/x/y"});
        ASSERT_TRUE(unit) << unit.error().message;
        EXPECT_EQ(unit->drop_in.find("VOLUME") == std::string::npos, as == DeployerClass::Root);
    }
}

TEST(CopyUnit, IsTheProcessWithoutWhatIsOnlyForItsCommand) {
    auto record = calendar();
    record.spec.run.environment["PATH"] = "/var/lib/p2prc-data/calendar";
    record.spec.run.credentials["KEY"] = "/etc/key";
    record.spec.run.root = "/srv/jail";
    record.spec.limits.tasks = 1;
    const auto unit = copy_unit(record, Origin::Remote);
    ASSERT_TRUE(unit) << unit.error().message;
    const auto value = [&](std::string_view name) {
        const auto found = std::ranges::find(unit->properties, name, &UnitProperty::name);
        return found == unit->properties.end() ? nlohmann::json() : found->value;
    };
    EXPECT_EQ(value("DynamicUser"), true);
    EXPECT_EQ(value("User"), dynamic_user("calendar"));
    EXPECT_EQ(value("ProtectSystem"), "strict");
    EXPECT_EQ(value("StateDirectory"),
              nlohmann::json::array({"p2prc-data/calendar", "p2prc-data/calendar.copying"}));
    EXPECT_EQ(value("TimeoutStartUSec"), 5'000'000);
    EXPECT_EQ(value("RootDirectory"), nullptr);
    EXPECT_EQ(value("LoadCredential"), nullptr);
    EXPECT_EQ(value("TasksMax"), nullptr);
    EXPECT_EQ(value("Environment").dump().find("PATH"), std::string::npos);
    EXPECT_NE(unit->drop_in.find("/var/lib/p2prc-data/calendar.copying"), std::string::npos);
}

TEST(UnitNames, ThereAndBack) {
    EXPECT_EQ(unit_name("calendar"), "p2prc-calendar.service");
    EXPECT_EQ(process_of_unit("p2prc-calendar.service"), "calendar");
    EXPECT_EQ(process_of_unit("p2prc-.service"), "");
    EXPECT_EQ(process_of_unit("p2prcd-acme-x.service"), "");
    EXPECT_EQ(process_of_unit("p2prc-edge.socket"), "");
}

TEST(UnitNames, TheSecondUnitIsOfTheSameProcess) {
    EXPECT_EQ(unit_name("calendar", Turn::Second), "p2prc-calendar_2.service");
    EXPECT_EQ(process_of_unit("p2prc-calendar_2.service"), "calendar");
    EXPECT_EQ(turn_of_unit("p2prc-calendar_2.service"), Turn::Second);
    EXPECT_EQ(turn_of_unit("p2prc-calendar.service"), Turn::First);
    EXPECT_EQ(turn_of_unit("p2prc-calendar-2.service"), Turn::First);
    EXPECT_EQ(process_of_unit("p2prc-_2.service"), "");
}

} // namespace
} // namespace p2prc::process
