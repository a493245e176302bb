#include "core/fields.h"
#include "core/process_spec.h"
#include "core/spec_values.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr const char* full = R"(
name = "calendar"
port = 5232
ports = [22000, 21027]
domain = "Calendar.Home.Example"

[run]
command = ["/usr/bin/radicale", "--server-hosts", "127.0.0.1:5232"]
kill = ["/bin/kill", "-INT", "$MAINPID"]
user = "radicale"
environment = { TZ = "UTC" }
credentials = { PASSWORD = "/etc/secrets/calendar" }
restart = "always"
data = false

[limits]
memory = "512M"
cpu = "150%"
tasks = 256

[ready]
http = "/health"
timeout = "90s"

[live]
command = "pg_isready -q"
every = "1m"
failures = 5
[update]
order = "stop-first"
hold = "25s"

[placement]
nodes = ["cellar", "attic"]
require = { arch = "x86_64", memory = "2G", disk = 1048576, gpu = true, label = ["ssd", "disk=fast"] }
on_node_loss = "wait"
exclusive = false

[[remedy]]
reason = "exit-code"
code = 3
action = "notify"

[[remedy]]
reason = "not-ready"
step = "http"
action = "rollback"
)";

TEST(ProcessFile, ReadsEveryKey) {
    const auto spec = spec_from_toml(full, "calendar.toml");
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_EQ(spec->name, "calendar");
    EXPECT_EQ(spec->port, 5232);
    EXPECT_EQ(spec->ports, (std::vector<std::uint16_t>{21027, 22000}));
    EXPECT_EQ(spec->domain, "calendar.home.example");
    EXPECT_EQ(spec->run.command.size(), 3U);
    EXPECT_FALSE(spec->run.shell);
    EXPECT_EQ(spec->run.kill.front(), "/bin/kill");
    EXPECT_EQ(spec->run.user, "radicale");
    EXPECT_EQ(spec->run.environment.at("TZ"), "UTC");
    EXPECT_EQ(spec->run.credentials.at("PASSWORD"), "/etc/secrets/calendar");
    EXPECT_EQ(spec->run.restart, Restart::Always);
    EXPECT_FALSE(spec->run.data);
    EXPECT_EQ(spec->limits.memory_bytes, 512ULL << 20);
    EXPECT_EQ(spec->limits.cpu_percent, 150U);
    EXPECT_EQ(spec->limits.tasks, 256U);
    EXPECT_EQ(spec->ready.probe, (Probe{.kind = Probe::Kind::Http, .path = "/health"}));
    EXPECT_EQ(ready_limit(spec->ready), std::chrono::seconds(90));
    EXPECT_EQ(spec->live.probe,
              (Probe{.kind = Probe::Kind::Command, .command = {"pg_isready -q"}, .shell = true}));
    EXPECT_EQ(spec->live.every, std::chrono::minutes(1));
    EXPECT_EQ(spec->live.failures, 5U);
    EXPECT_EQ(spec->update.hold, std::chrono::seconds(25));
    EXPECT_EQ(spec->placement.nodes, (std::vector<std::string>{"cellar", "attic"}));
    EXPECT_EQ(spec->placement.require, (RequireSpec{.arch = "x86_64",
                                                    .memory_bytes = 2ULL << 30,
                                                    .disk_bytes = 1ULL << 20,
                                                    .gpu = true,
                                                    .labels = {"disk=fast", "ssd"}}));
    EXPECT_EQ(spec->remedies,
              (std::vector<Remedy>{{StopKind::ExitCode, "", 3, RemedyAction::Notify},
                                   {StopKind::NotReady, "http", std::nullopt, RemedyAction::Rollback}}));
}

TEST(ProcessFile, ARemedyOfALaterVersionIsNoneWhereItIsStored) {
    const auto stored = Json::parse(R"({"name":"a","run":{"command":["x"]},"remedy":[
        {"reason":"exit-code","action":"replace"},{"reason":"exit-code","action":"none","new":1}]})");
    const auto spec = spec_from_stored(stored);
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec->remedies,
              (std::vector<Remedy>{{StopKind::ExitCode, "", std::nullopt, RemedyAction::None}}));
    EXPECT_EQ(spec_to_document(*spec)["remedy"].dump(), R"([{"action":"none","reason":"exit-code"}])");
    auto many = stored;
    many["remedy"] = Json::array();
    for (int one = 0; one < 17; ++one)
        many["remedy"].push_back({{"reason", "exit-code"}, {"action", "none"}});
    const auto refused = spec_from_document(many);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "remedy: has more than 16 remedies");
}

TEST(ProcessFile, APlacementThatSaysNothingIsNone) {
    const auto without = spec_from_toml("name = 'a'\nrun.command = ['x']", "a.toml");
    const auto with =
        spec_from_toml("name = 'a'\nrun.command = ['x']\n[placement]\nnodes = []\nrequire = {}\n"
                       "on_node_loss = 'wait'\nexclusive = false",
                       "a.toml");
    const auto one =
        spec_from_toml("name = 'a'\nrun.command = ['x']\nplacement.require.label = 'ssd'", "a.toml");
    ASSERT_TRUE(without && with && one);
    EXPECT_FALSE(is_placed(*without));
    EXPECT_FALSE(is_placed(*with));
    EXPECT_TRUE(is_placed(*one));
    EXPECT_EQ(spec_digest(*without), spec_digest(*with));
    EXPECT_EQ(spec_to_document(*one)["placement"], (Json{{"require", {{"label", {"ssd"}}}}}));
}

TEST(ProcessFile, RoundTripsThroughTheCanonicalForm) {
    const auto spec = spec_from_toml(full, "calendar.toml");
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec_from_stored(spec_to_document(*spec)), *spec);
    EXPECT_EQ(spec_from_document(spec_to_document(*spec)), *spec);
}

TEST(ProcessFile, AStringCommandIsForTheShell) {
    const auto spec = spec_from_toml("name = 'a'\nrun.command = 'echo $HOME; exec sleep 1'", "a.toml");
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_TRUE(spec->run.shell);
    EXPECT_EQ(command_text(spec->run), "echo $HOME; exec sleep 1");
    EXPECT_EQ(spec_from_stored(spec_to_document(*spec)), *spec);
}

struct BadFile {
    const char* text;
    const char* message; // how it begins
    const char* hint = nullptr;
    ErrorCode code = ErrorCode::InvalidSpec;
};

TEST(ProcessFile, ErrorsNameFileLineKeyAndTheNearestKnownKey) {
    const BadFile cases[] = {
        {"name = 'a'\n[run]\ncomand = ['x']", "f.toml:3: run.comand: unknown key", "did you mean 'command'?"},
        {"name = 'a'\n[rum]\ncommand = ['x']", "f.toml:2: rum: unknown key", "did you mean 'run'?"},
        {"name = 'a'\ncommand = ['x']", "f.toml:2: command: unknown key", "did you mean 'run.command'?"},
        {"name = 'a'\n[run]\ncommand = ['x']\nport = 80", "f.toml:4: run.port: unknown key",
         "'port' belongs to the top of the file, above the first [table]"},
        {"name = 'a'\n[limits]\ncommand = ['x']", "f.toml:3: limits.command: unknown key",
         "'command' belongs to [run]"},
        {"name = 'a'\nxyzzy = 1\nrun.command = ['x']", "f.toml:2: xyzzy: unknown key",
         "known keys: name, port, ports, domain, deploy, run, limits, ready, live, update, placement, "
         "remedy"},
        {"name = 'a'\nport = 70000\nrun.command = ['x']", "f.toml:2: port: 70000 is not a port"},
        {"name = 'a'\nport = -1\nrun.command = ['x']", "f.toml:2: port: -1 is not a port"},
        {"name = 'a'\nport = '80'\nrun.command = ['x']",
         "f.toml:2: port: must be a whole number, not a string", "write it without quotes"},
        {"name = 'a'\nrun.command = ['x']\nlimits.cpu = 50", "f.toml:3: limits.cpu: must be",
         "write \"50%\""},
        {"name = 'a'\nrun.command = ['x']\nrun.kill = 'foo'", "f.toml:3: run.kill: must be",
         "write a list, a word each: [\"/usr/bin/program\", \"argument\"]"},
        {"name = 'a'\nrun.command = ['x']\nlimits.memory = 5",
         "f.toml:3: limits.memory: 5 bytes are too little",
         "the least is \"1M\"; for 64 mebibytes write \"64M\""},
        {"name = 'a'\nrun.command = ['x']\nlimits.memory = '1023K'",
         "f.toml:3: limits.memory: 1047552 bytes are too little"},
        {"name = 'a'\n[deploy]\nscript = 'x'\n[run]\ncommand = ['x']",
         "f.toml:3: deploy.script: nothing says which deployer takes it", "add strategy = \"script\""},
        {"name = 'a'\nrun.command = ['x']\n[deploy]\nstrategy = '../x'",
         "f.toml:4: deploy.strategy: '../x' is not a name of a deployer"},
        {"name = 'a'\nrun.command = ['x']\n[deploy]\nstrategy = 'script'\nscript = \"\\u0000\"",
         "f.toml:5: deploy.script: is not plain text"},
        {"name = 'a'\nport = 80.5\nrun.command = ['x']",
         "f.toml:2: port: must be a whole number, not a number with"},
        {"name = 'a'\nports = [0]\nrun.command = ['x']", "f.toml:2: ports: 0 is not a port; 1-65535"},
        {"name = 'a'\nports = [70000]\nrun.command = ['x']", "f.toml:2: ports: 70000 is not a port"},
        {"name = 'a'\nports = [1,\n'80']\nrun.command = ['x']",
         "f.toml:3: ports[1]: must be a whole number, not a string"},
        {"name = 'a'\nports = 80\nrun.command = ['x']",
         "f.toml:2: ports: must be a list of whole numbers, not a whole number"},
        {"name = 'a'\nports = [80, 80]\nrun.command = ['x']", "f.toml:2: ports: 80 is there twice"},
        {"name = 'a'\nports = [1,2,3,4,5,6,7,8,9]\nrun.command = ['x']", "f.toml:2: ports: has more than 8"},
        {"name = 'a'\nport = 80\nports = [80]\nrun.command = ['x']", "f.toml:3: ports: 80 is its `port`"},
        {"name = 'A'\nrun.command = ['x']", "f.toml:1: name: 'A' does not start with a letter a-z"},
        {"name = 'edge'\nrun.command = ['x']", "f.toml:1: name: 'edge' is a part of p2prc"},
        {"name = 'a'\nrun.command = []", "f.toml:2: run.command: is empty"},
        {"name = 'a'\nrun.command = ['bin/x']", "f.toml:2: run.command: 'bin/x' is a relative path"},
        {"name = 'a'\nrun.command = 1", "f.toml:2: run.command: must be a list of strings, or one string"},
        {"name = 'a'\nrun.command = [1]", "f.toml:2: run.command[0]: must be a string"},
        {"name = 'a'\nrun.command = \"\\u0000\"", "f.toml:2: run.command: a word of it contains a NUL byte"},
        {"name = 'a'\nrun = 3", "f.toml:2: run: must be a table, not a whole number"},
        {"name = 'a'", "f.toml: run.command: is missing",
         "add run.command = [\"/usr/bin/program\", \"argument\"]"},
        {"run.command = ['x']", "f.toml: name: is missing"},
        {"name = 'a'\nport = 1\ndomain = 'x'\nrun.command = ['x']",
         "f.toml:3: domain: 'x' has only one label"},
        {"name = 'a'\ndomain = 'x.y'\nrun.command = ['x']", "f.toml:2: domain: a process without a port"},
        {"name = 'a'\nrun.command = ['x']\n[limits]\nmemory = 'lots'",
         "f.toml:4: limits.memory: is not a size"},
        {"name = 'a'\nrun.command = ['x']\n[limits]\ncpu = '0%'",
         "f.toml:4: limits.cpu: is not a percentage"},
        {"name = 'a'\nrun.command = ['x']\n[limits]\ntasks = 0", "f.toml:4: limits.tasks: must be between"},
        {"name = 'a'\n[run]\ncommand = ['x']\nrestart = 'never'", "f.toml:4: run.restart: must be always"},
        {"name = 'a'\n[run]\ncommand = ['x']\nenvironment = { '1A' = 'x' }",
         "f.toml:4: run.environment: '1A'"},
        {"name = 'a'\n[run]\ncommand = ['x']\ncredentials = { A = 'x' }",
         "f.toml:4: run.credentials: the path of A"},
        {"name = 'a'\n[run]\ncommand = ['x']\nuser = 'a b'", "f.toml:4: run.user: 'a b' is not a user name"},
        {"name = 'a'\nport = 1\n[run]\ncommand = ['x']\nenvironment = { PORT = '1' }",
         "f.toml:5: run.environment: PORT"},
        {"name = 'a'\n[run]\ncommand = ['x']\nenvironment = { LD_PRELOAD = '/x.so' }",
         "f.toml:4: run.environment: LD_PRELOAD would change p2prcd's own programs"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nexclusive = true",
         "f.toml:4: placement.exclusive: not in this version", "leave it out", ErrorCode::NotSupported},
        {"name = 'a'\nrun.command = ['x']\n[placement]\non_node_loss = 'move'",
         "f.toml:4: placement.on_node_loss: not in this version", "leave it out", ErrorCode::NotSupported},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nmax_age = '2h'",
         "f.toml:4: placement.max_age: not in this version", "leave it out", ErrorCode::NotSupported},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nrequire = { task_type = ['x'] }",
         "f.toml:4: placement.require.task_type: not in this version", "leave it out",
         ErrorCode::NotSupported},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nrequire = { gpus = 2 }",
         "f.toml:4: placement.require.gpus: unknown key", "did you mean 'gpu'?"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nrequire = 'ssd'",
         "f.toml:4: placement.require: must be a table, not a string"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nlabel = 'ssd'",
         "f.toml:4: placement.label: unknown key", "'label' belongs to [placement.require]"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nnodes = ['Attic']",
         "f.toml:4: placement.nodes: node name 'Attic' does not start with a letter a-z"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nnodes = ['attic', 'attic']",
         "f.toml:4: placement.nodes: 'attic' is there twice"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\narch = 'amd64'",
         "f.toml:4: placement.require.arch: 'amd64' is called otherwise here",
         "write \"x86_64\", as uname -m prints it"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\narch = 'x86 64'",
         "f.toml:4: placement.require.arch: is not an architecture"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\nmemory = 'much'",
         "f.toml:4: placement.require.memory: is not a size"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\ndisk = -1",
         "f.toml:4: placement.require.disk: is not a size"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\nlabel = 'disk = ssd'",
         "f.toml:4: placement.require.label: 'disk = ssd' is not a label"},
        {"name = 'a'\nrun.command = ['x']\n[placement.require]\nlabel = ['a', 'a']",
         "f.toml:4: placement.require.label: 'a' is there twice"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'oom-kil'\naction = 'move'",
         "f.toml:4: remedy[0].reason: 'oom-kil' is no reason of a stop", "did you mean 'oom-kill'?"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'stopped'\naction = 'move'",
         "f.toml:4: remedy[0].reason: nothing is done about 'stopped': a remedy is for what has failed"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'exit-code'\naction = 'none'\n[[remedy]]\n"
         "reason = 'exit-code'\naction = 'restrat'",
         "f.toml:8: remedy[1].action: 'restrat' is no action", "did you mean 'restart'?"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'exit-code'",
         "f.toml:3: remedy[0].action: is missing"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'exit-code'\naction = 'none'\nkode = 1",
         "f.toml:6: remedy[0].kode: unknown key", "did you mean 'code'?"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'exit-code'\naction = 'none'\ncode = '1'",
         "f.toml:6: remedy[0].code: must be a whole number, not a string", "write it without quotes"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'exit-code'\naction = 'none'\ncode = 256",
         "f.toml:6: remedy[0].code: must be between 0 and 255"},
        {"name = 'a'\nrun.command = ['x']\n[[remedy]]\nreason = 'deploy-failed'\naction = 'redeploy'",
         "f.toml:5: remedy[0].action: nothing is deployed for this process"},
        {"name = 'a'\nrun.command = ['x']\n[deploy]\nx = 1", "f.toml:4: deploy.x: unknown key"},
        {"name = 'a'\nrun.command = ['x']\n[placement]\nnode = 'x'", "f.toml:4: placement.node: unknown key",
         "did you mean 'nodes'?"},
        {"name = 'a'\nrun.command = ['x']\n[remedy]\nx = 1", "f.toml:3: remedy: must be a list of tables",
         "write [[remedy]] above each"},
        {"name = 'a'\nport = 1\nrun.command = ['x']\n[ready]\nhttp = '/x'\nport = true",
         "f.toml:6: ready.port: ready.http is there already",
         "a process is asked in one way: keep one of the two"},
        {"name = 'a'\nrun.command = ['x']\n[ready]\nnotify = true\ncommand = ['y']",
         "f.toml:4: ready.notify: ready.command is there already"},
        {"name = 'a'\nport = 1\nrun.command = ['x']\n[live]\nhttp = '/x'\ncommand = ['y']",
         "f.toml:5: live.http: live.command is there already"},
        {"name = 'a'\nport = 1\nrun.command = ['x']\n[ready]\nhttp = 'health'",
         "f.toml:5: ready.http: must begin with /"},
        {"name = 'a'\nport = 1\nrun.command = ['x']\n[ready]\nhttp = \"/x HTTP/1.1\\r\\nX: y\"",
         "f.toml:5: ready.http: has a space, a '#' or"},
        {"name = 'a'\nrun.command = ['x']\n[ready]\nhttp = '/health'",
         "f.toml:4: ready.http: a process without a port",
         "add port = N, the port it listens on, or port = 0"},
        {"name = 'a'\nrun.command = ['x']\n[live]\nport = true",
         "f.toml:4: live.port: a process without a port"},
        {"name = 'a'\nrun.command = ['x']\n[ready]\ntimeout = 60",
         "f.toml:4: ready.timeout: must be a string, not a whole number", "write \"60s\""},
        {"name = 'a'\nrun.command = ['x']\n[ready]\ntimeout = '60'",
         "f.toml:4: ready.timeout: is not a length of time", "write \"30s\" or \"2m\""},
        {"name = 'a'\nrun.command = ['x']\n[ready]\ntimeout = '2h'",
         "f.toml:4: ready.timeout: is longer than 1h"},
        {"name = 'a'\nrun.command = ['x']\n[ready]\nnotify = true\ntimeout = '4m'",
         "f.toml:5: ready.timeout: is longer than 3m, the most with ready.notify"},
        {"name = 'a'\nrun.command = ['x']\n[ready]\ncommand = []", "f.toml:4: ready.command: is empty"},
        {"name = 'a'\nrun.command = ['x']\n[live]\nfailures = 2",
         "f.toml:4: live.failures: nothing says how the process is asked",
         "add one of live.http, live.port and live.command"},
        {"name = 'a'\nrun.command = ['x']\n[live]\ncommand = ['y']\nevery = '9s'",
         "f.toml:5: live.every: is less than 10s, the least for a command"},
        {"name = 'a'\nrun.command = ['x']\n[live]\ncommand = ['y']\nfailures = 0",
         "f.toml:5: live.failures: must be between 1 and 100"},
        {"name = 'a'\nrun.command = ['x']\n[live]\nnotify = true", "f.toml:4: live.notify: unknown key",
         "'notify' belongs to [ready]"},
        {"name = 'a'\nrun.command = ['x']\n[update]\nhold = '61s'", "f.toml:4: update.hold: must be from"},
        {"name = 'a'\nrun.command = ['x']\n[update]\nhold = '500ms'", "f.toml:4: update.hold: must be from"},
        {"name = 'a'\nrun.command = ['x']\n[update]\nhold = 10",
         "f.toml:4: update.hold: must be a string, not a whole number", "write \"10s\""},
        {"name = 'a'\nrun.command = ['x']\n[update]\norder = 'start-first'",
         "f.toml:4: update.order: start-first is not for a process that keeps data"},
        {"name = 'a'\nport = 80\nrun = { command = ['x'], data = false }\nupdate.order = 'start-first'",
         "f.toml:4: update.order: start-first is not for a process with a fixed port",
         "write port = 0, and let it listen at $PORT"},
        {"name = 'a'\nports = [80]\nrun = { command = ['x'], data = false }\nupdate.order = 'start-first'",
         "f.toml:4: update.order: start-first is not for a process with further `ports`"},
        {"name = 'a'\nrun = { command = ['x'], data = false }\nready.notify = true\nupdate.order = "
         "'start-first'",
         "f.toml:4: update.order: start-first is not for a process that is asked by ready.notify",
         "ask by ready.http, ready.port or ready.command"},
        {"name = 'a'\nrun.command = ['x']\n[update]\norder = 'first'",
         "f.toml:4: update.order: 'first' is no order", "write \"stop-first\" or \"start-first\""},
        {"name = 'a'\nrun = { command = ['x'], data = false }\n[update]\nsnapshot = true",
         "f.toml:4: update.snapshot: there is nothing to copy", "leave it out"},
        {"name = 'a_b'\nrun.command = ['x']", "f.toml:1: name: 'a_b' contains a character",
         "a process name starts with a letter a-z, has letters, digits and hyphens, ends with a letter or "
         "digit, and is at most 42 characters long"},
    };
    for (const auto& bad : cases) {
        const auto spec = spec_from_toml(bad.text, "f.toml");
        ASSERT_FALSE(spec) << bad.text;
        EXPECT_EQ(spec.error().message.find(bad.message), 0U) << bad.text << "\n-> " << spec.error().message;
        EXPECT_EQ(spec.error().code, bad.code) << bad.text;
        if (bad.hint) {
            EXPECT_EQ(spec.error().hint, bad.hint) << bad.text;
        }
    }
}

// Before an image is fetched, and with the line of the key.
TEST(DeployKeys, WhatIsNotForAContainerIsRefused) {
    const auto refusal = [](const std::string& strategy, const std::string& rest) {
        const auto spec = spec_from_toml("name = 'a'\ndeploy = { strategy = '" + strategy +
                                             "', script = 'docker://x' }\n" + rest,
                                         "f.toml");
        return spec ? std::string() : spec.error().message + "\n" + spec.error().hint;
    };
    EXPECT_EQ(refusal("container", "run.user = 'anna'"),
              "f.toml:3: run.user: is not for a container: its image says as whom it runs\n"
              "leave run.user out; USER in a Containerfile sets it");
    EXPECT_EQ(refusal("container", "run.root = '/srv'"),
              "f.toml:3: run.root: is not for a container, which has a root of its own\nleave run.root out");
    EXPECT_EQ(refusal("container", "run.kill = ['/bin/x']"),
              "f.toml:3: run.kill: is not for a container: it would run outside of that\n"
              "leave run.kill out; the STOPSIGNAL of its image is sent");
    EXPECT_EQ(refusal("container", "ready.notify = true"),
              "f.toml:3: ready.notify: is not for a container: not in this version\n"
              "ask by ready.http, ready.port or ready.command");
    EXPECT_EQ(refusal("image", "run.root = '/srv'").find("f.toml:3: run.root: is not for a process whose"),
              0U);
    EXPECT_EQ(
        refusal("image", "run.kill = ['/bin/x']").find("f.toml:3: run.kill: is not for a process whose"), 0U);
    EXPECT_EQ(refusal("image", "run.user = 'anna'"), "");
    EXPECT_EQ(refusal("own", "run.kill = ['/bin/x']"), "");
}

TEST(UpdateKeys, StartFirstIsReadAndWritten) {
    for (const auto* port : {"port = 0\n", ""}) {
        const auto spec =
            spec_from_toml(fmt::format("name = 'a'\n{}run = {{ command = ['x'], data = false }}\n"
                                       "update.order = 'start-first'",
                                       port),
                           "f.toml");
        ASSERT_TRUE(spec) << spec.error().message;
        EXPECT_EQ(spec->update.order, UpdateOrder::StartFirst);
        EXPECT_EQ(spec_to_document(*spec)["update"], (Json{{"order", "start-first"}}));
        EXPECT_EQ(*spec_from_stored(spec_to_document(*spec)), *spec);
    }
}

TEST(Deploy, IsReadAndWrittenAndNeedsNoCommand) {
    const auto spec =
        spec_from_toml("name = 'a'\n[deploy]\nstrategy = 'script'\nscript = \"echo\\n\"", "f.toml");
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_EQ(spec->deploy, (DeploySpec{"script", "echo\n"}));
    EXPECT_TRUE(spec->run.command.empty());
    const Json document = {{"name", "a"}, {"deploy", {{"strategy", "script"}, {"script", "echo\n"}}}};
    EXPECT_EQ(spec_to_document(*spec), document);
    EXPECT_EQ(*spec_from_stored(document), *spec);
}

TEST(Deploy, ALongScriptIsRefused) {
    const auto with = [](std::size_t size) {
        return spec_from_document(
            {{"name", "a"}, {"deploy", {{"strategy", "script"}, {"script", std::string(size, 'x')}}}});
    };
    EXPECT_TRUE(with(DeploySpec::longest_script));
    const auto refused = with(DeploySpec::longest_script + 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "deploy.script: is longer than 256 KiB");
}

TEST(Stored, UnknownKeysAreSkipped) {
    const Json document = {{"name", "a"}, {"future", 1}, {"run", {{"command", {"x"}}, {"later", true}}}};
    EXPECT_TRUE(spec_from_stored(document));
    EXPECT_FALSE(spec_from_document(document));
}

TEST(Digest, DoesNotDependOnDefaultsThatAreWrittenOut) {
    const auto brief = spec_from_toml("name = 'a'\nrun.command = ['x']", "a.toml");
    const auto wordy =
        spec_from_toml("name = 'a'\n[run]\ncommand = ['x']\ndata = true\nrestart = 'on-failure'\nkill = []\n"
                       "[update]\nhold = '10s'\norder = 'stop-first'",
                       "a.toml");
    ASSERT_TRUE(brief && wordy);
    EXPECT_EQ(spec_digest(*brief), spec_digest(*wordy));
}

TEST(Digest, SaysNothingOfTheDefaultsOfReadinessAndLiveness) {
    const std::string brief = "name = 'a'\nport = 80\nrun.command = ['x']\n";
    const auto digest = [](const std::string& text) {
        const auto spec = spec_from_toml(text, "a.toml");
        EXPECT_TRUE(spec) << spec.error().message;
        EXPECT_EQ(spec_from_stored(spec_to_document(*spec)), *spec);
        return spec_digest(*spec);
    };
    EXPECT_EQ(digest(brief), digest(brief + "[ready]\nport = false\nnotify = false\n[live]\n"));
    EXPECT_EQ(digest(brief + "ready.port = true"), digest(brief + "[ready]\nport = true\ntimeout = '1m'"));
    EXPECT_EQ(digest(brief + "live.port = true"),
              digest(brief + "[live]\nport = true\nevery = '30s'\nfailures = 3"));
    // A file that speaks of readiness has a limit; one that does not has none.
    EXPECT_NE(digest(brief), digest(brief + "ready.timeout = '60s'"));
    EXPECT_NE(digest(brief), digest(brief + "ready.port = true"));
    EXPECT_FALSE(ready_limit(ReadySpec()));
    EXPECT_EQ(ready_limit({.probe = Probe()}), std::chrono::seconds(60));
    EXPECT_EQ(ready_limit({.timeout = std::chrono::seconds(5)}), std::chrono::seconds(5));
}

// A change here breaks every running process's identity: it must never happen.
TEST(Digest, IsStable) {
    const auto spec = spec_from_toml("name = 'a'\nport = 80\nrun.command = ['x', 'y']", "a.toml");
    ASSERT_TRUE(spec);
    EXPECT_EQ(spec_to_document(*spec).dump(), R"({"name":"a","port":80,"run":{"command":["x","y"]}})");
    EXPECT_EQ(spec_digest(*spec), "4106b2570474ddaec0d98c88a4a05bebf05c07a0b62bd5c4416c2e8fdfaa8066");
}

TEST(Values, SizesAndPercentages) {
    EXPECT_EQ(parse_size("512M"), 512ULL << 20);
    EXPECT_EQ(parse_size("1T"), 1ULL << 40);
    EXPECT_EQ(parse_size("7"), 7U);
    for (const auto* text : {"", "M", "0", "-1", "1.5G", "1 M", "99999999999T", "1MB"})
        EXPECT_FALSE(parse_size(text)) << text;
    EXPECT_EQ(parse_percent("150%"), 150U);
    for (const auto* text : {"", "%", "150", "0%", "-1%", "1.5%", "100001%"})
        EXPECT_FALSE(parse_percent(text)) << text;
}

TEST(CommandText, QuotesForAShell) {
    RunSpec run;
    run.command = {"/bin/echo", "a b", "it's", ""};
    EXPECT_EQ(command_text(run), R"(/bin/echo 'a b' 'it'\''s' '')");
}

TEST(Limits, AreSetAndTakenAwayByTheirNames) {
    LimitsSpec limits;
    EXPECT_EQ(set_limit(limits, "memory", "2G"), "");
    EXPECT_EQ(set_limit(limits, "cpu", "150%"), "");
    EXPECT_EQ(set_limit(limits, "tasks", "32"), "");
    EXPECT_EQ(limits, (LimitsSpec{2ULL << 30, 150, 32}));
    for (const auto* name : {"memory", "cpu", "tasks"}) {
        EXPECT_EQ(set_limit(limits, name, "none"), "");
        for (const auto* value : {"", "0", "-1", "many", "99999999999999999999999", "none "})
            EXPECT_NE(set_limit(limits, name, value), "") << name << " " << value;
    }
    EXPECT_EQ(limits, LimitsSpec());
    EXPECT_NE(set_limit(limits, "memory", "1K"), "");
    EXPECT_NE(set_limit(limits, "tasks", "4194305"), "");
}

TEST(Fields, EveryKeyHasItsDocumentation) {
    for (const auto& field : spec_fields()) {
        EXPECT_FALSE(field.documentation.empty()) << field.key;
        EXPECT_EQ(find_field(spec_fields(), field.key), &field);
    }
}

} // namespace
} // namespace p2prc
