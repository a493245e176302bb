#include "dbus/names.h"
#include "state/origins.h"
#include "tests/unit/daemon/api/fixture.h"

#include <boost/asio/post.hpp>
#include <unistd.h>

#include <ctime>

namespace p2prc::daemon {
namespace {

Result<Json> ok(Json value) {
    return value;
}

class ManagerTest : public ApiTest {
  protected:
    void SetUp() override {
        populate();
        start();
    }
    // The registry as it accepts a spin: the record comes by the watch, the status a little later.
    void accept_spin(ProcessState state, std::optional<StopReason> reason = {}) {
        fleet.requests.answers["process.spin"] = [this, state, reason](const Json& params) {
            auto record = process(8, params["spec"]["name"], params["node"]);
            auto timer = std::make_shared<boost::asio::steady_timer>(bus.io, std::chrono::milliseconds(10));
            timer->async_wait([this, record, state, reason, timer](boost::system::error_code) {
                commit({{keys::process(record.name), to_json(record)}});
                report(record, ProcessState::Starting);
                boost::asio::post(bus.io, [this, record, state, reason] { report(record, state, reason); });
            });
            return ok({{"id", 8}, {"name", record.name}, {"node", record.node}, {"created", true}});
        };
    }
    Json spec = {{"name", "calendar"}, {"run", {{"command", {"/usr/bin/radicale"}}}}};
};

TEST_F(ManagerTest, InformationByIdNameAndDomain) {
    for (const char* name : {"7", "wiki", "wiki.home.example", "WIKI.home.example."}) {
        const auto info = bus.run(client->information(name));
        ASSERT_TRUE(info) << name << ": " << info.error().message;
        EXPECT_EQ((*info)["id"], 7);
        EXPECT_EQ((*info)["name"], "wiki");
        EXPECT_EQ((*info)["status"], true);
        EXPECT_EQ((*info)["state"], "running");
        EXPECT_EQ((*info)["domain"], "wiki.home.example");
        EXPECT_EQ((*info)["run_command"], "exec wiki");
        EXPECT_FALSE(info->contains("reason"));
        EXPECT_FALSE(info->contains("kill_command"));
    }
    const auto missing = bus.run(client->information("nothing"));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
    EXPECT_NE(missing.error().message.find("'nothing'"), std::string::npos);
    EXPECT_FALSE(missing.error().hint.empty());
}

TEST_F(ManagerTest, Lists) {
    const auto processes = bus.run(client->processes());
    ASSERT_TRUE(processes);
    EXPECT_EQ(processes->size(), 1U);
    const auto nodes = bus.run(client->nodes());
    ASSERT_TRUE(nodes);
    ASSERT_EQ(nodes->size(), 2U);
    EXPECT_EQ((*nodes)[0]["state"], "up");
    EXPECT_EQ((*nodes)[1]["roles"], Json::array({"owner", "root"}));
    const auto domains = bus.run(client->domains());
    ASSERT_TRUE(domains);
    EXPECT_EQ((*domains)[0]["state"], "waiting"); // no connector has reported a tunnel
    EXPECT_EQ((*domains)[0]["tls"], "passthrough");
    const auto records = bus.run(client->records("home.example"));
    ASSERT_TRUE(records);
    EXPECT_EQ(records->size(), 8U); // SOA, NS, and two addresses each of the zone, of ns1 and of the domain
    EXPECT_EQ(bus.run(client->records("HOME.example.")), records);
    EXPECT_EQ(bus.run(client->records("elsewhere.example")).error(),
              (Error{ErrorCode::NotFound, "this fleet does not answer for 'elsewhere.example'",
                     "it answers for home.example"}));
    EXPECT_EQ(bus.run(client->zones()).value()[0]["name"], "home.example");
    EXPECT_EQ(bus.run(client->version()).value(), P2PRC_VERSION);
}

TEST_F(ManagerTest, AListHasTheFieldsThatAreAskedFor) {
    const auto all = bus.run(client->processes());
    const auto some =
        bus.run(client->processes_with({{"fields", {"name", "state", "memory_bytes", "reason"}}}));
    ASSERT_TRUE(some) << some.error().message;
    EXPECT_EQ(*some, Json::parse(R"([{"name": "wiki", "state": "running"}])")); // nothing runs here
    EXPECT_EQ(bus.run(client->processes_with(Json::object())), all);
    EXPECT_EQ(bus.run(client->processes_with({{"fields", Json::array()}})), all);
    EXPECT_EQ(
        bus.run(client->processes_with({{"fields", {"name", "colour"}}})).error(),
        (Error{ErrorCode::InvalidSpec, "a process has no field 'colour'", "ListProcess has all fields"}));
    EXPECT_EQ(bus.run(client->processes_with({{"fields", "name"}})).error().code, ErrorCode::InvalidSpec);
}

// One message has them all: what others made long is cut, and whole for one process alone.
TEST_F(ManagerTest, UsageIsThatOfTheNodesThatAnswer) {
    const auto there = process(9, "notes", "root1");
    commit({{keys::process("notes"), to_json(there)},
            {keys::status("root1", 9), status(there, ProcessState::Running)}});
    fleet.used = {{"home1",
                   {{"measured_usec", 5U},
                    {"processes",
                     {{{"id", 7U}, {"invocation", "a"}, {"memory_bytes", 4096U}, {"cpu_usec", 10U}},
                      {{"id", 9U}, {"memory_bytes", 1U}}}}}}}; // not its own
    const auto usage = bus.run(client->usage(Json::object()));
    ASSERT_TRUE(usage) << usage.error().message;
    const Json measured = {{"id", 7},       {"name", "wiki"},    {"node", "home1"},    {"state", "running"},
                           {"restarts", 0}, {"invocation", "a"}, {"measured_usec", 5}, {"memory_bytes", 4096},
                           {"cpu_usec", 10}};
    const Json unheard = {
        {"id", 9}, {"name", "notes"}, {"node", "root1"}, {"state", "running"}, {"restarts", 0}};
    EXPECT_EQ(*usage, Json::array({unheard, measured})) << usage->dump(2);
}

TEST_F(ManagerTest, UsageOfANodeOrAProcessIsAskedThereAlone) {
    const auto there = process(9, "notes", "root1");
    commit({{keys::process("notes"), to_json(there)}});
    const auto names = [this](Json options) {
        const auto usage = bus.run(client->usage(std::move(options)));
        std::string list;
        if (usage)
            for (const auto& row : *usage)
                list += row["name"].get<std::string>() + " ";
        return usage ? list : std::string(error_info(usage.error().code).name);
    };
    EXPECT_EQ(names({{"node", "root1"}}), "notes ");
    EXPECT_EQ(names({{"process", "wiki.home.example"}}), "wiki ");
    EXPECT_EQ(names({{"process", "wiki"}, {"node", "root1"}}), "NotFound");
    EXPECT_EQ(names({{"node", "nobody"}}), "NotFound");
    EXPECT_EQ(names({{"process", "nothing"}}), "NotFound");
    EXPECT_EQ(names({{"what", "x"}}), "InvalidSpec");
    EXPECT_EQ(fleet.usage_requests, (std::vector<std::string>{"root1", "home1"}));
}

TEST_F(ManagerTest, RowsAreShort) {
    const std::string words(60'000, 'x');
    ProcessRecord record = process(8, "long", "root1");
    record.spec =
        spec_from_document(Json{{"name", "long"}, {"run", {{"command", {"/bin/x", words}}}}}).value();
    record.digest = spec_digest(record.spec);
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.detail = words;
    reason.log = {words};
    const Json info_of_root = {
        {"ipv4", words}, {"labels", Json::array({words, words})}, {"gpus", Json(900, "gpu")}};
    commit({{keys::process("long"), to_json(record)},
            {keys::status("root1", 8), status(record, ProcessState::Failed, reason)},
            {keys::node_info("root1"), info_of_root}});
    const auto processes = bus.run(client->processes());
    ASSERT_TRUE(processes) << processes.error().message;
    ASSERT_EQ(processes->size(), 2U);
    EXPECT_LT(processes->dump().size(), 4000U);
    const Json& row = (*processes)[(*processes)[0]["name"] == "long" ? 0 : 1];
    EXPECT_TRUE(row["run_command"].get<std::string>().ends_with("xxx..."));
    EXPECT_EQ(row["reason"]["kind"], "exit-code");
    EXPECT_FALSE(row["reason"].contains("log"));
    const auto nodes = bus.run(client->nodes());
    ASSERT_TRUE(nodes) << nodes.error().message;
    EXPECT_LT(nodes->dump().size(), 3000U);
    const auto info = bus.run(client->information("long"));
    ASSERT_TRUE(info) << info.error().message;
    EXPECT_EQ((*info)["run_command"], "/bin/x " + words);
    EXPECT_EQ((*info)["reason"]["log"], Json::array({words}));
}

TEST_F(ManagerTest, WhereADeployerSaysTheCommandItIsThat) {
    auto record = process(8, "shop", "root1");
    record.spec.deploy = {"container", "docker://shop"};
    record.spec.run.command.clear();
    record.spec.run.shell = false;
    record.digest = spec_digest(record.spec);
    auto running = status(record, ProcessState::Running);
    commit({{keys::process("shop"), to_json(record)}, {keys::status("root1", 8), running}});
    const auto command = [this] {
        const auto info = bus.run(client->information("shop")).value();
        EXPECT_EQ(info["deployment"]["strategy"], "container");
        return info.value("run_command", Json());
    };
    EXPECT_EQ(command(), nullptr) << "it is not known yet";
    running["command"] = "/app/start /data";
    commit({{keys::status("root1", 8), running}});
    EXPECT_EQ(command(), "/app/start /data");
    record.spec.run.command = {"/bin/own"};
    commit({{keys::process("shop"), to_json(record)}});
    EXPECT_EQ(command(), "/bin/own");
}

TEST_F(ManagerTest, WhatComesNextIsTold) {
    ProcessRecord record = process(8, "broken", "root1");
    StopReason reason;
    reason.kind = StopKind::OomKill;
    auto document = status(record, ProcessState::Failed, reason);
    document["remedy"] = {
        {"decided", true},
        {"planned", {{"action", "restart"}, {"number", 1}, {"at", std::time(nullptr) - 5}, {"left", 4}}}};
    const auto next = [&] {
        commit({{keys::process("broken"), to_json(record)}, {keys::status("root1", 8), document}});
        const auto info = bus.run(client->information("broken"));
        EXPECT_TRUE(info) << info.error().message;
        return info ? info->value("next", Json()) : Json(); // absent instead of null
    };
    EXPECT_EQ(next(), "restart in 1s (remedy 1: oom-kill), 4 of 5 actions left this hour");
    record.desired = Desired::Stopped;
    EXPECT_EQ(next(), nullptr);
    record.desired = Desired::Running;
    document["state"] = "deploying";
    document["waits_for"] = "the mirror is away; it is tried again after 30s";
    EXPECT_EQ(next(), "it is tried again after 30s");
    document["state"] = "running";
    EXPECT_EQ(next(), nullptr);
    document["update"] =
        to_json(UpdateProgress{.revision = 2, .fallback = 1, .phase = UpdatePhase::Confirming});
    EXPECT_EQ(next(), "revision 2 is kept if it stays up for ten seconds; otherwise revision 1 runs again");
    record.desired = Desired::Stopped;
    document["state"] = "stopped";
    EXPECT_EQ(next(), nullptr);
}

class FullFleetTest : public ApiTest {};

TEST_F(FullFleetTest, ItIsListed) {
    constexpr std::uint32_t processes = 10'000, domains = 12'000;
    populate();
    std::map<std::string, std::optional<Json>> records;
    ProcessRecord record = process(8, "long", "root1");
    const Json command = {"/bin/x", std::string(1000, 'x')};
    record.spec = spec_from_document(Json{{"name", "long"}, {"run", {{"command", command}}}}).value();
    record.digest = spec_digest(record.spec);
    for (std::uint32_t i = 1; i < processes; ++i) {
        record.id = 100 + i;
        record.name = record.spec.name = "process-with-a-name-" + std::to_string(i);
        records[keys::process(record.name)] = to_json(record);
    }
    DomainRecord domain;
    domain.process = "wiki";
    domain.process_id = 7;
    domain.node = "home1";
    domain.port = 8080;
    domain.tls = TlsMode::Passthrough;
    for (std::uint32_t i = 1; i < domains; ++i) {
        domain.mapping_id = 10 + i;
        domain.domain = "a-domain-with-a-name-" + std::to_string(i) + ".home.example";
        records[keys::domain(domain.domain)] = to_json(domain);
    }
    commit(std::move(records));
    start();
    const auto ps = bus.run(client->processes());
    ASSERT_TRUE(ps) << ps.error().message;
    EXPECT_EQ(ps->size(), processes);
    const auto mapped = bus.run(client->domains());
    ASSERT_TRUE(mapped) << mapped.error().message;
    EXPECT_EQ(mapped->size(), domains);
    const auto zone = bus.run(client->records("home.example"));
    ASSERT_TRUE(zone) << zone.error().message;
    const auto facts = bus.run(client->facts());
    ASSERT_TRUE(facts) << facts.error().message;
    const auto call = user->new_call(dbus::names::service, dbus::names::root_path,
                                     "org.freedesktop.DBus.ObjectManager", "GetManagedObjects");
    const auto objects = bus.run(user->call(*call));
    ASSERT_TRUE(objects) << objects.error().message;
}

TEST_F(ManagerTest, AMistypedDomainIsNotUnmapped) {
    fleet.requests.answers["domain.unmap"] = [](const Json&) {
        return fail(ErrorCode::NotFound, "that domain is not mapped", "p2prc domains lists them");
    };
    const auto done = bus.run(client->unmap_domain("wikki.home.example"));
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().hint, "did you mean 'wiki.home.example'? p2prc domains lists them");
    EXPECT_EQ(bus.run(client->unmap_domain("something.else.example")).error().hint,
              "p2prc domains lists them");
}

TEST_F(ManagerTest, SpinAnswersWhenItRuns) {
    accept_spin(ProcessState::Running);
    const auto path = bus.run(client->spin(spec, ""));
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(*path, "/org/p2prc1/process/8");
    ASSERT_EQ(fleet.requests.requests.size(), 1U);
    const Json& params = fleet.requests.requests[0].second;
    EXPECT_EQ(params["node"], "home1");
    EXPECT_EQ(params["by"], "root@home1");
    EXPECT_EQ(bus.run(client->information("calendar")).value()["state"], "running");
}

TEST_F(ManagerTest, AFailedSpinSaysWhyWithTheLog) {
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.code = 3;
    reason.log = {"cannot open config"};
    accept_spin(ProcessState::Failed, reason);
    const auto failed = bus.run(client->spin(spec, ""));
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::Failed);
    EXPECT_NE(failed.error().message.find("exit-code"), std::string::npos) << failed.error().message;
    EXPECT_NE(failed.error().message.find("cannot open config"), std::string::npos);
}

TEST_F(ManagerTest, AQuickProcessThatFinishedIsNoFailure) {
    StopReason reason;
    reason.kind = StopKind::Finished;
    accept_spin(ProcessState::Stopped, reason);
    EXPECT_TRUE(bus.run(client->spin(spec, "")));
}

TEST_F(ManagerTest, SpinIsRefusedBeforeTheRegistryIsAsked) {
    accept_spin(ProcessState::Running);
    const Json unknown = {{"name", "x"}, {"prot", 1}, {"run", {{"command", {"true"}}}}};
    EXPECT_EQ(bus.run(client->spin(unknown, "")).error().code, ErrorCode::InvalidSpec);
    const auto nowhere = bus.run(client->spin(spec, "mars"));
    EXPECT_EQ(nowhere.error().code, ErrorCode::NotFound);
    EXPECT_NE(nowhere.error().hint.find("home1, root1"), std::string::npos);
    commit({{keys::live("root1"), Json{{"state", "lost"}}}});
    EXPECT_EQ(bus.run(client->spin(spec, "root1")).error().code, ErrorCode::Unreachable);
    EXPECT_TRUE(fleet.requests.requests.empty());
}

// A registry elsewhere is not believed about where a process was asked for.
TEST_F(ManagerTest, WhatIsSpunHereForThisNodeIsNotedBeforeTheRegistryHearsOfIt) {
    std::map<std::string, std::size_t> noted;
    fleet.requests.answers["process.spin"] = [&](const Json& params) -> Result<Json> {
        noted[params["node"]] = own->range(keys::spun_here).size();
        return fail(ErrorCode::Conflict, "no room");
    };
    EXPECT_FALSE(bus.run(client->spin(spec, "root1")));
    EXPECT_FALSE(bus.run(client->spin(spec, "")));
    EXPECT_EQ(noted, (std::map<std::string, std::size_t>{{"home1", 1}, {"root1", 0}}));
    EXPECT_TRUE(own->range(keys::spun_here).empty()) << "nothing came of it";
}

TEST_F(ManagerTest, ADeploymentThatIsAskedForHereIsNotedBeforeTheRegistryHearsOfIt) {
    const auto local = process(12, "shop", "home1");
    const state::Origins origins(*own);
    state::Origins(*own).note(local.spec);
    commit({{keys::process("shop"), to_json(local)}});
    auto next = local;
    next.spec.deploy = {"script", "true"};
    state::Origins(*own).note(next.spec);
    state::Origins(*own).bind(next.spec, {12, 1, 0}, nullptr);
    commit({{keys::process("shop"), to_json(next)}});
    next.revision = next.deployment = 2;
    EXPECT_FALSE(origins.here(next));
    bool noted = false;
    fleet.requests.answers["process.redeploy"] = [&](const Json&) -> Result<Json> {
        noted = origins.here(next);
        return fail(ErrorCode::Conflict, "no room");
    };
    EXPECT_FALSE(bus.run(client->redeploy("shop", Json::object())));
    EXPECT_TRUE(noted);
    EXPECT_FALSE(origins.here(next)) << "nothing came of it";
}

TEST_F(ManagerTest, ANodeIsShownWithAllItsDeployers) {
    const auto listed = [&](std::size_t missing) {
        Json deployers = Json::array();
        for (std::size_t number = 0; number < 40; ++number)
            deployers.push_back({{"name", "deployer-" + std::to_string(number)},
                                 {"as", "process"},
                                 {"admitted", true},
                                 {"missing", std::vector<std::string>(missing, std::string(100, 'x'))},
                                 {"problem", nullptr}});
        commit({{keys::node_info("root1"), Json{{"deployers", deployers}}}});
        const auto rows = bus.run(client->nodes()).value();
        for (const Json& row : rows)
            if (row["name"] == "root1") return row["deployers"];
        return Json();
    };
    EXPECT_EQ(listed(0).size(), 32U); // as many as a node reports
    EXPECT_EQ(listed(8).size(), 32U) << "whatever it says of them";
}

TEST_F(ManagerTest, ARefusalOfTheRegistryReachesTheCaller) {
    fleet.requests.answers["process.spin"] = [](const Json&) -> Result<Json> {
        return fail(ErrorCode::DomainTaken, "held by 'wiki' on home2", "unmap it");
    };
    EXPECT_EQ(bus.run(client->spin(spec, "")).error(),
              (Error{ErrorCode::DomainTaken, "held by 'wiki' on home2", "unmap it"}));
}

TEST_F(ManagerTest, StopWaitsForItsChange) {
    fleet.requests.answers["process.stop"] = [this](const Json& params) {
        EXPECT_EQ(params["process"], "7");
        wiki.change = 2;
        wiki.desired = Desired::Stopped;
        commit({{keys::process("wiki"), to_json(wiki)}});
        auto timer = std::make_shared<boost::asio::steady_timer>(bus.io, std::chrono::milliseconds(20));
        timer->async_wait([this, timer](boost::system::error_code) { report(wiki, ProcessState::Stopped); });
        return ok({{"id", 7}, {"name", "wiki"}, {"node", "home1"}, {"change", 2}});
    };
    ASSERT_TRUE(bus.run(client->stop("wiki")));
    EXPECT_EQ(bus.run(client->information("wiki")).value()["state"], "stopped");
}

TEST_F(ManagerTest, WithTheRootAwayWhatRunsHereIsStoppedAndKilled) {
    auto stop_soon = [this](ProcessState state, std::uint64_t change) {
        auto timer = std::make_shared<boost::asio::steady_timer>(bus.io, std::chrono::milliseconds(20));
        timer->async_wait([this, timer, state, change](boost::system::error_code) {
            wiki.change = change;
            report(wiki, state);
        });
    };
    stop_soon(ProcessState::Stopped, 2);
    ASSERT_TRUE(bus.run(client->stop("wiki")));
    const auto action = own->get("/local/home1/7");
    ASSERT_TRUE(action);
    EXPECT_EQ((*action)["action"], "stop");
    EXPECT_EQ((*action)["sequence"], 1);
    EXPECT_EQ((*action)["by"], "root@home1");
    // It had ended before: of what is killed now nothing ends any more, it is only noted.
    stop_soon(ProcessState::Stopped, 3);
    ASSERT_TRUE(bus.run(client->kill("7")));
    EXPECT_EQ((*own->get("/local/home1/7"))["action"], "kill");
    EXPECT_EQ((*own->get("/local/home1/7"))["sequence"], 2);
    EXPECT_EQ(bus.run(client->information("wiki")).error().code, ErrorCode::NotFound);
    EXPECT_TRUE(bus.run(client->processes()).value().empty());
    EXPECT_EQ(bus.run(client->spin(spec, "")).error().code, ErrorCode::Unreachable);
}

TEST_F(ManagerTest, AnOfferInConflictIsShownAndKilledByItsId) {
    const auto other = process(40, "wiki", "root1");
    commit({{keys::offer("root1", 40),
             Json{{"process", to_json(other)}, {"refused", "process name 'wiki' is taken in the fleet"}}}});
    const auto shown = bus.run(client->status()).value()["problems"].dump();
    EXPECT_NE(shown.find("p2prc kill 40"), std::string::npos) << shown;
    fleet.requests.answers["process.kill"] = [this](const Json& params) {
        EXPECT_EQ(params["process"], "40");
        commit({{keys::offer("root1", 40), std::nullopt}});
        return ok({{"id", 40}, {"name", "wiki"}, {"node", "root1"}, {"change", 1}});
    };
    EXPECT_TRUE(bus.run(client->kill("40")));
    EXPECT_EQ(bus.run(client->kill("40")).error().code, ErrorCode::NotFound);
    EXPECT_EQ(bus.run(client->information("wiki")).value()["node"], "home1");
}

TEST_F(ManagerTest, WhereItRunsARollbackSaysWhichPortsAreInUse) {
    const auto there = process(8, "game", "root1");
    commit({{keys::process("game"), to_json(there)}});
    for (const auto* method : {"process.rollback", "process.redeploy"})
        fleet.requests.answers[method] = [](const Json& params) -> Result<Json> {
            EXPECT_EQ(params.contains("ports_in_use"), params["process"] == "7") << params;
            return fail(ErrorCode::Conflict, "not now");
        };
    for (const auto* name : {"wiki", "game"}) {
        EXPECT_EQ(bus.run(client->roll_back(name, 1, Json::object())).error().message, "not now");
        EXPECT_EQ(bus.run(client->redeploy(name, Json::object())).error().message, "not now");
    }
    EXPECT_EQ(fleet.requests.requests.size(), 4U);
}

TEST_F(ManagerTest, ADrainWaitsForNothingLongerThanToItsDeadline) {
    fleet.requests.answers["node.drain"] = [](const Json&) {
        const auto row = [](const char* name, int id) {
            return Json{{"process", name}, {"id", id},     {"from", "home1"},
                        {"to", "root1"},   {"change", 2U}, {"obstacles", Json::array()}};
        };
        return ok({{"processes", {row("one", 8), row("two", 9)}}}); // neither is ever recorded
    };
    const auto rows = bus.run(client->drain_node("home1", {{"deadline_seconds", 1U}}));
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 2U);
    for (const auto& row : *rows)
        EXPECT_EQ(row["obstacles"][0]["code"], "not-ready") << row;
    EXPECT_NE(rows->at(1).dump().find("in the time given"), std::string::npos) << rows->at(1);
}

TEST_F(ManagerTest, ADrainEndsWhenTheNodeIsRemoved) {
    fleet.requests.answers["node.drain"] = [](const Json& params) -> Result<Json> {
        if (params["again"] == true) return fail(ErrorCode::NotFound, "there is no node 'home1'");
        const Json obstacle{{"code", "update"}, {"text", "is being confirmed"}, {"fix", "again"}};
        return ok({{"processes",
                    {{{"process", "wiki"},
                      {"id", 7},
                      {"from", "home1"},
                      {"to", nullptr},
                      {"change", 1U},
                      {"obstacles", {obstacle}}}}}});
    };
    const auto rows = bus.run(client->drain_node("home1", {{"deadline_seconds", 3600U}}));
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ((*rows)[0]["process"], "wiki");
    EXPECT_EQ(fleet.requests.requests.size(), 2U);
}

// Whoever has spun it looks for it there.
TEST_F(ManagerTest, OfWhatWasKilledItSaysByWhomAndWhen) {
    commit(
        {{keys::process("wiki"), std::nullopt},
         {keys::tombstone(7), to_json(Tombstone{7, "wiki", "home1", "eve@root1", "2026-01-02T03:04:05Z"})}});
    commit({{keys::tombstone(7), std::nullopt}});
    for (const auto* reference : {"wiki", "7"})
        for (const auto& told :
             {bus.run(client->information(reference)), bus.run(client->history(reference))}) {
            ASSERT_FALSE(told);
            EXPECT_EQ(told.error().code, ErrorCode::NotFound);
            EXPECT_EQ(told.error().message,
                      "there is no process 'wiki' any more: on 'home1', eve@root1 killed it "
                      "at 2026-01-02T03:04:05Z");
        }
    commit({{keys::process("wiki"), to_json(process(9, "wiki"))}});
    EXPECT_TRUE(bus.run(client->information("wiki")));
}

TEST_F(ManagerTest, OfWhatWasKilledWhileTheRootWasAwayItsNodesReportSaysIt) {
    const auto game = process(8, "game", "root1");
    StopReason reason;
    reason.kind = StopKind::Killed;
    reason.by = "eve@root1";
    reason.at = "2026-01-02T03:04:05Z";
    commit({{keys::process("game"), to_json(game)}});
    commit({{keys::process("game"), std::nullopt},
            {keys::status("root1", 8), status(game, ProcessState::Stopped, reason)}});
    commit({{keys::status("root1", 8), std::nullopt}});
    const auto told = bus.run(client->information("game"));
    ASSERT_FALSE(told);
    EXPECT_NE(told.error().message.find("eve@root1 killed it"), std::string::npos) << told.error().message;
}

// Every node can write reports of its own, and those who read them are others.
TEST_F(ManagerTest, OfWhatIsInventedNothingIsSaid) {
    const auto reported = [](const ProcessRecord& record, const std::string& by) {
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = by;
        return std::pair{keys::status(record.node, record.id),
                         std::optional(status(record, ProcessState::Stopped, reason))};
    };
    const auto told = [this](const char* name) {
        const auto information = bus.run(client->information(name));
        return information ? std::string() : information.error().message;
    };
    // Of what never was, of one that is another's by now, and of what runs.
    const auto mine = process(9, "mine", "root1");
    commit({reported(process(40, "ghost", "root1"), "mallory"),
            reported(process(7, "wiki", "root1"), "mallory"),
            {keys::process("mine"), to_json(mine)},
            reported(mine, "mallory")});
    commit({{keys::process("wiki"), std::nullopt}});
    for (const auto* name : {"ghost", "wiki", "mine"})
        EXPECT_EQ(told(name).find("mallory"), std::string::npos) << told(name);
    // Of another name than its record has.
    const auto game = process(8, "game", "root1");
    commit({{keys::process("game"), to_json(game)}});
    commit({{keys::process("game"), std::nullopt}, reported(process(8, "chess", "root1"), "mallory")});
    EXPECT_EQ(told("game").find("mallory"), std::string::npos);
    EXPECT_EQ(told("chess").find("mallory"), std::string::npos);
    // A tombstone is the registry's word.
    commit(
        {{keys::process("mine"), std::nullopt},
         {keys::tombstone(9), to_json(Tombstone{9, "mine", "root1", "eve@home1", "2026-01-02T03:04:05Z"})}});
    commit({{keys::tombstone(9), std::nullopt}, reported(mine, "mallory again")});
    EXPECT_NE(told("mine").find("eve@home1 killed it"), std::string::npos) << told("mine");
}

TEST_F(ManagerTest, WithoutARootANameWaitsForOne) {
    auto alone = *api->view().fleet();
    alone.zone.clear();
    alone.root.clear();
    commit({{std::string(keys::fleet), to_json(alone)}});
    const auto domains = bus.run(client->domains());
    ASSERT_TRUE(domains);
    EXPECT_EQ((*domains)[0]["state"], "waiting");
    EXPECT_NE((*domains)[0]["reason"].get<std::string>().find("p2prc init"), std::string::npos);
}

TEST_F(ManagerTest, OfWhatIsNotAcceptedTheUnitThatRunsIsNamed) {
    wiki.created_by = "ada\n@home1";
    commit({{keys::process("wiki"), to_json(wiki)}});
    const auto hint = [this] { return bus.run(client->pause("wiki")).error().hint; };
    EXPECT_EQ(hint(), "systemctl stop p2prc-wiki.service ends what runs");
    auto now = status_from_json(status(wiki, ProcessState::Running));
    now.second_unit = true;
    own->set(keys::status("home1", 7), status_to_json(now));
    EXPECT_EQ(hint(), "systemctl stop p2prc-wiki_2.service ends what runs");
}

TEST_F(ManagerTest, APauseIsThisMachinesOwn) {
    // What the reconciler would do.
    const auto followed = own->subscribe("/paused/", [this](std::span<const state::Change> changes) {
        StopReason reason;
        reason.kind = StopKind::Paused;
        if (changes.front().value)
            report(wiki, ProcessState::Paused, reason);
        else
            report(wiki, ProcessState::Running, reason);
    });
    fleet.requests.answers.clear(); // the root is away
    ASSERT_TRUE(bus.run(client->pause("wiki.home.example")));
    const auto note = own->get(keys::paused("wiki"));
    ASSERT_TRUE(note);
    EXPECT_EQ((*note)["by"], "root@home1");
    const auto information = bus.run(client->information("wiki")).value();
    EXPECT_EQ(information["state"], "paused");
    EXPECT_EQ(information["status"], false);
    ASSERT_TRUE(bus.run(client->pause("wiki"))) << "as it is already";
    EXPECT_EQ(*own->get(keys::paused("wiki")), *note);
    ASSERT_TRUE(bus.run(client->resume_with("wiki", {{"until", "ready"}})));
    EXPECT_FALSE(own->get(keys::paused("wiki")));
    EXPECT_TRUE(bus.run(client->resume_with("wiki", Json::object()))) << "it is not paused";

    commit({{keys::process("mail"), to_json(process(9, "mail", "root1"))}});
    EXPECT_EQ(bus.run(client->pause("mail")).error().code, ErrorCode::NotPermitted);
    EXPECT_EQ(bus.run(client->pause("nobody")).error().code, ErrorCode::NotFound);
    ASSERT_TRUE(bus.run(client->pause_owner("root1")));
    EXPECT_TRUE(own->get(keys::paused_owner("root1")));
    EXPECT_EQ(bus.run(client->pause_owner("rot1")).error().code, ErrorCode::NotFound);
    ASSERT_TRUE(bus.run(client->resume_owner("root1")));
    EXPECT_EQ(bus.run(client->resume_owner("root1")).error().code, ErrorCode::NotFound);
    EXPECT_TRUE(fleet.requests.requests.empty()) << "the root is not asked";
}

TEST_F(ManagerTest, StartingWhatRunsIsNoRestart) {
    EXPECT_TRUE(bus.run(client->start("wiki")));
    EXPECT_TRUE(fleet.requests.requests.empty());
    EXPECT_FALSE(own->get("/local/home1/7"));
}

TEST_F(ManagerTest, MapDomainChecksItsOptions) {
    fleet.requests.answers["domain.map"] = [](const Json& params) { return ok(params); };
    const auto path = bus.run(client->map_domain("Photos.Home.Example.", "", {{"port", 80}}));
    ASSERT_TRUE(path);
    EXPECT_EQ(*path, "/org/p2prc1/domain/photos_2ehome_2eexample");
    const Json& params = fleet.requests.requests[0].second;
    EXPECT_EQ(params["process"], "photos");
    EXPECT_EQ(params["tls"], "node");
    EXPECT_EQ(params["port"], 80);
    const auto refused = [&](const Json& options) {
        return bus.run(client->map_domain("a.home.example", "wiki", options)).error().code;
    };
    EXPECT_EQ(refused({{"tls", "none"}}), ErrorCode::NotSupported);
    EXPECT_EQ(refused({{"tls", "some"}}), ErrorCode::InvalidSpec);
    EXPECT_EQ(refused({{"port", 70000}}), ErrorCode::InvalidSpec);
    EXPECT_EQ(refused({{"colour", "red"}}), ErrorCode::InvalidSpec);
    EXPECT_EQ(bus.run(client->map_domain("10.0.0.1", "wiki", Json::object())).error().code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(fleet.requests.requests.size(), 1U);
}

TEST_F(ManagerTest, LogsStreamUntilTheirEnd) {
    fleet.stream = std::make_unique<FakeStream>(std::deque<std::string>{"one\n", "two\n"});
    const auto fd = bus.run(client->logs("wiki", 2, false, false));
    ASSERT_TRUE(fd) << fd.error().message;
    std::string text;
    bool ended = false;
    wait([&] {
        char buffer[64];
        const ssize_t got = recv(*fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
        ended = got == 0;
        return ended;
    });
    close(*fd);
    EXPECT_TRUE(ended);
    EXPECT_EQ(text, "one\ntwo\n");
    EXPECT_EQ(fleet.log_requests[0].first, "home1");
    EXPECT_EQ(fleet.log_requests[0].second["lines"], 2);
}

TEST_F(ManagerTest, TheLogOfALostNodeIsNotWaitedFor) {
    commit({{keys::process("blog"), to_json(process(9, "blog", "root1"))},
            {keys::live("root1"), Json{{"state", "lost"}}}});
    const auto refused = bus.run(client->logs("blog", 2, true, false));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Unreachable);
    EXPECT_EQ(refused.error().message, "node 'root1' is lost: its log is there");
    EXPECT_NE(refused.error().hint.find("p2prc nodes"), std::string::npos);
    EXPECT_TRUE(fleet.log_requests.empty());
}

TEST_F(ManagerTest, ALogThatIsCutShortSaysWhyAsAProgramReadsIt) {
    fleet.stream = std::make_unique<FakeStream>(
        std::deque<std::string>{"one\n"}, nullptr, false,
        Error{ErrorCode::Unreachable, "node 'attic' is not connected to the root"});
    const auto fd = bus.run(client->logs("wiki", 2, false, false));
    ASSERT_TRUE(fd) << fd.error().message;
    std::string text;
    wait([&] {
        char buffer[256];
        const ssize_t got = recv(*fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0) text.append(buffer, static_cast<std::size_t>(got));
        return got == 0;
    });
    close(*fd);
    EXPECT_EQ(text,
              "one\np2prc: the log ends here (Unreachable): node 'attic' is not connected to the root\n");
}

TEST_F(ManagerTest, AReaderThatGoesEndsTheStream) {
    bool destroyed = false;
    fleet.stream = std::make_unique<FakeStream>(std::deque<std::string>{"one\n"}, &destroyed, true);
    const auto fd = bus.run(client->logs("wiki", 2, true, false));
    ASSERT_TRUE(fd);
    EXPECT_FALSE(destroyed);
    close(*fd);
    EXPECT_TRUE(wait([&] { return destroyed; }));
}

TEST_F(ManagerTest, FleetVerbs) {
    EXPECT_EQ(bus.run(client->init({{"domain", "x.example"}, {"public_ips", {"203.0.113.9"}}})).value()["by"],
              "root@home1");
    EXPECT_EQ(bus.run(client->init({{"zone", "x.example"}})).error().code, ErrorCode::InvalidSpec);
    EXPECT_EQ(bus.run(client->invite(Json::object())).value()["token"], "p2prc1_member");
    EXPECT_EQ(bus.run(client->join("token", "home9")).value()["name"], "home9");
    EXPECT_TRUE(bus.run(client->leave(true)));
    EXPECT_EQ(bus.run(client->leave(false)).error(),
              (Error{ErrorCode::Unreachable, "the root is away", "use --force"}));
    EXPECT_TRUE(bus.run(client->remove_node("root1")));
    EXPECT_EQ(fleet.removed, std::vector<std::string>{"root1"});
    EXPECT_EQ(bus.run(client->fleet_certificate()).error().code, ErrorCode::NotFound);
}

TEST_F(ManagerTest, WhatIsLostSaysSinceWhenAndWhatItsNodeReportedLast) {
    const auto other = process(9, "blog", "root1");
    StopReason old;
    old.kind = StopKind::Stopped;
    old.by = "ada@home1";
    commit({{keys::process("blog"), to_json(other)},
            {keys::status("root1", 9), status(other, ProcessState::Running, old)}});
    EXPECT_EQ(bus.run(client->information("blog")).value()["reason"]["kind"], "stopped");
    commit({{keys::live("root1"),
             Json{{"state", "lost"}, {"since", "2026-02-01T10:00:30Z"}, {"heard", "2026-02-01T10:00:00Z"}}}});
    const auto blog = bus.run(client->information("blog")).value();
    EXPECT_EQ(blog["state"], "lost");
    EXPECT_EQ(blog["since"], "2026-02-01T10:00:30Z");
    EXPECT_EQ(blog["reason"]["kind"], "stopped");
    EXPECT_EQ(blog["reason"]["by"], "ada@home1");
    const auto nodes = bus.run(client->nodes()).value();
    EXPECT_EQ(nodes[1]["name"], "root1");
    EXPECT_EQ(nodes[1]["last_seen"], "2026-02-01T10:00:00Z");
}

TEST_F(ManagerTest, ANodeThatIsUpWasSeenNow) {
    fleet.requests.answers["x"] = [](const Json& params) { return ok(params); }; // the root is reachable
    const auto seen = bus.run(client->nodes()).value()[1]["last_seen"].get<std::string>();
    EXPECT_GT(seen, "2026-01-01T00:00:00Z") << "since when it is up is no sign of now";
    // Of a fleet whose root does not answer nobody knows.
    fleet.requests.answers.clear();
    EXPECT_FALSE(bus.run(client->nodes()).value()[1].contains("last_seen"));
}

TEST_F(ManagerTest, ARootThatDoesNotAnswerIsNotUp) {
    fleet.requests.answers["x"] = [](const Json& params) { return ok(params); }; // the root is reachable
    EXPECT_EQ(bus.run(client->nodes()).value()[1]["state"], "up");
    fleet.requests.answers.clear();
    EXPECT_EQ(bus.run(client->nodes()).value()[1]["state"], "suspect");
    EXPECT_EQ(bus.run(client->status()).value()["nodes"], Json({{"suspect", 1}, {"up", 1}}));
    commit({{keys::live("root1"), Json{{"state", "lost"}}}});
    EXPECT_EQ(bus.run(client->nodes()).value()[1]["state"], "lost");
    fleet.root = true;
    EXPECT_EQ(bus.run(client->nodes()).value()[0]["state"], "up") << "this node";
}

TEST_F(ManagerTest, NoDocumentOfTheRootFailsAList) {
    std::map<std::string, std::optional<Json>> bad;
    const Json odd[] = {Json("text"), Json(5), Json(nullptr), Json::array({1}),
                        Json::object({{"process", 7}})};
    const char* keys[] = {"/fleet",          "/nodes/x",       "/processes/x", "/domains/x",
                          "/tombstones/1",   "/live/root1",    "/info/root1",  "/status/root1/9",
                          "/offers/root1/3", "/tunnels/root1", "/challenges/x"};
    for (const auto& value : odd) {
        for (const auto* key : keys)
            bad[key] = value;
        commit(bad);
        EXPECT_TRUE(bus.run(client->status()));
        EXPECT_TRUE(bus.run(client->facts()));
        EXPECT_TRUE(bus.run(client->processes()));
        EXPECT_TRUE(bus.run(client->nodes()));
        EXPECT_TRUE(bus.run(client->domains()));
        EXPECT_EQ(bus.run(client->information("wiki")).value()["name"], "wiki");
    }
}

TEST_F(ManagerTest, StatusNamesWhatIsWrong) {
    const auto status = bus.run(client->status());
    ASSERT_TRUE(status);
    EXPECT_EQ((*status)["node"], "home1");
    EXPECT_EQ((*status)["processes"], Json({{"running", 1}}));
    EXPECT_EQ((*status)["reachable"], false);
    // One cause: without a link this node has no tunnel, and its domain nobody to serve it.
    ASSERT_EQ((*status)["problems"].size(), 1U) << (*status)["problems"];
    EXPECT_NE((*status)["problems"][0]["cause"].get<std::string>().find("not reachable"), std::string::npos);
    EXPECT_EQ((*status)["problems"][0]["affects"], Json({"domain wiki.home.example"}));
    StopReason reason;
    reason.kind = StopKind::OomKill;
    report(wiki, ProcessState::Failed, reason);
    const auto problems = bus.run(client->status()).value()["problems"];
    ASSERT_EQ(problems.size(), 2U);
    EXPECT_EQ(problems[1]["subject"], "process wiki");
    EXPECT_NE(problems[1]["cause"].get<std::string>().find("oom-kill"), std::string::npos);
    EXPECT_EQ(problems[1]["affects"], Json({"domain wiki.home.example"}));
    EXPECT_EQ(bus.run(client->facts()).value()["connector_registered"], true);
}

// The registry chooses the node, and is told why this one cannot be it.
TEST_F(ManagerTest, APlacedSpinIsExplainedByTheRegistry) {
    Json asked;
    fleet.requests.answers["process.explain"] = [&](const Json& params) -> Result<Json> {
        asked = params;
        return Json{
            {"placement",
             {{{"node", "root1"},
               {"fits", true},
               {"chosen", true},
               {"score", 0.5},
               {"summary", ""},
               {"obstacles", Json::array()}},
              {{"node", "home1"},
               {"fits", false},
               {"chosen", false},
               {"score", 0.0},
               {"summary", ""},
               {"obstacles", {{{"code", "label"}, {"text", "label 'ssd' is missing"}, {"fix", "x"}}}}}}},
            {"changes", Json::array()},
            {"restarts", false}};
    };
    spec["placement"] = {{"require", {{"label", "ssd"}, {"memory", "1G"}}}, {"nodes", {"root1", "home1"}}};
    const auto explained = bus.run(client->explain_spin(spec, ""));
    ASSERT_TRUE(explained) << explained.error().message;
    EXPECT_EQ(asked["node"], "");
    EXPECT_EQ(asked["spec"]["placement"]["require"]["label"], Json({"ssd"}));
    EXPECT_EQ((*explained)["restarts"], false);
    ASSERT_EQ((*explained)["placement"].size(), 2U);
    EXPECT_EQ((*explained)["placement"][0]["chosen"], true);
    EXPECT_EQ((*explained)["placement"][1]["obstacles"][0]["text"], "label 'ssd' is missing");
    spec.erase("placement");
    ASSERT_TRUE(bus.run(client->explain_spin(spec, "")));
    EXPECT_EQ(asked["node"], "home1") << "without placement it stays here";
}

TEST_F(ManagerTest, ADryRunForAnotherNodeSaysWhyItCannotBeThisOne) {
    Json asked;
    fleet.requests.answers["process.explain"] = [&](const Json& params) -> Result<Json> {
        asked = params;
        return Json{{"placement", Json::array()}, {"changes", Json::array()}, {"restarts", false}};
    };
    check_spec = fail(ErrorCode::NotFound, "this machine has no deployer 'gti'", "it has git");
    for (const auto* node : {"root1", "home1", ""}) {
        ASSERT_TRUE(bus.run(client->explain_spin(spec, node))) << node;
        EXPECT_EQ(asked["node"], *node == '\0' ? "home1" : node);
        EXPECT_EQ(asked["refused_here"]["message"], "this machine has no deployer 'gti'");
        EXPECT_EQ(asked["refused_here"]["hint"], "it has git");
    }
    EXPECT_EQ(bus.run(client->spin(spec, "")).error().message, "this machine has no deployer 'gti'");
}

TEST_F(ManagerTest, AHistoryNamesTheRevisionOfARollbackAndWhatCameOfTheData) {
    auto changed = wiki;
    changed.outcome = Outcome::Good;
    Revision second = present_revision(changed), third = second;
    second.number = 2;
    second.spec.update.snapshot = true;
    second.data = "copied";
    third.number = 3;
    third.rollback_of = 1;
    replace_revision(changed, second, Outcome::Good);
    replace_revision(changed, third, Outcome::Good);
    commit({{keys::process("wiki"), to_json(changed)}});
    const auto rows = bus.run(client->history("wiki"));
    ASSERT_TRUE(rows) << rows.error().message;
    ASSERT_EQ(rows->size(), 3U) << rows->dump();
    EXPECT_EQ((*rows)[0]["rollback_of"], 1);
    EXPECT_EQ((*rows)[0]["snapshot"], false);
    EXPECT_FALSE((*rows)[1].contains("rollback_of"));
    EXPECT_EQ((*rows)[1]["data"], "copied");
    EXPECT_EQ((*rows)[1]["snapshot"], true);
    EXPECT_FALSE((*rows)[2].contains("data"));
}

TEST_F(ManagerTest, LabelsAndCustomInformationGoToTheRegistry) {
    Json asked;
    for (const auto* method : {"node.label", "node.custom", "process.custom"})
        fleet.requests.answers[method] = [&](const Json& params) -> Result<Json> {
            asked = params;
            return Json::object();
        };
    ASSERT_TRUE(bus.run(client->label_node("home1", Json{{"ssd", ""}}, Json::array({"old"}))));
    EXPECT_EQ(asked,
              (Json{{"node", "home1"}, {"set", {{"ssd", ""}}}, {"remove", {"old"}}, {"by", "root@home1"}}));
    ASSERT_TRUE(bus.run(client->set_node_custom("home1", Json::object())));
    EXPECT_EQ(asked["custom"], Json::object());
    ASSERT_TRUE(bus.run(client->set_process_custom("web", Json{{"ask", "Grete"}})));
    EXPECT_EQ(asked, (Json{{"process", "web"}, {"custom", {{"ask", "Grete"}}}, {"by", "root@home1"}}));
}

} // namespace
} // namespace p2prc::daemon
