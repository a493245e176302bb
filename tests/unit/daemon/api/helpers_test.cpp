#include "core/process_usage.h"
#include "core/zone_records.h"
#include "daemon/api/routes.h"
#include "dbus/limits.h"
#include "tests/unit/daemon/api/fixture.h"

#include <boost/asio/co_spawn.hpp>
#include <gmock/gmock.h>

namespace p2prc::daemon {
namespace {

class HelpersTest : public ApiTest {
  protected:
    void SetUp() override {
        populate();
        start();
    }
    std::string key = std::string(64, '1');
};

TEST_F(HelpersTest, TheRouteTableComesFromTheAgreedState) {
    const std::string digest(43, 'A');
    ChallengeRecord challenge{"wiki.home.example", digest, "home1", 0};
    DomainRecord waiting;
    waiting.mapping_id = 6;
    waiting.domain = "later.home.example";
    waiting.process = "later";
    commit({{keys::challenge("wiki.home.example", digest), to_json(challenge)},
            {keys::domain("later.home.example"), to_json(waiting)}});
    dbus::EdgeClient edge(*user);
    const auto feed = bus.run(edge.routes());
    ASSERT_TRUE(feed) << feed.error().message;
    EXPECT_EQ(feed->revision, revision);
    const auto table = route_table_from_json(feed->document);
    ASSERT_TRUE(table) << table.error().message;
    ASSERT_EQ(table->routes.size(), 2U);
    EXPECT_EQ(table->routes[0].domain, "later.home.example");
    EXPECT_EQ(table->routes[0].node_key, "");
    EXPECT_EQ(table->routes[1].domain, "wiki.home.example");
    EXPECT_EQ(table->routes[1].node_key, std::string(64, 'c'));
    EXPECT_EQ(table->routes[1].mapping_id, 5U);
    EXPECT_EQ(table->connector_keys, std::vector<std::string>{std::string(64, 'c')});
    ASSERT_EQ(table->zones.size(), 1U);
    EXPECT_EQ(table->zones[0].name, "home.example");
    EXPECT_EQ(table->zones[0].addresses, (std::vector<std::string>{"203.0.113.1", "2001:db8::1"}));
    ASSERT_EQ(table->zones[0].records.size(), 1U);
    EXPECT_EQ(table->zones[0].records[0].name, "_acme-challenge.wiki.home.example");
    EXPECT_EQ(table->zones[0].records[0].data, "\"" + digest + "\"");
}

// A conquered or faulty root, or a record of a later version: the rest is served.
TEST_F(HelpersTest, WhatIsNotAcceptedIsLeftOutAlone) {
    const auto before = route_table(api->view());
    const std::string digest(43, 'A');
    ChallengeRecord forged{"wiki.home.example", "\" TXT \"more", "home1", 0};
    ChallengeRecord moved{"wiki.home.example", digest, "home1", 0};
    commit({{keys::challenge("wiki.home.example", forged.value), to_json(forged)},
            {keys::challenge("other.home.example", digest), to_json(moved)},
            {"/challenges/x", Json(7)},
            {"/nodes/broken", Json{{"name", "broken"}, {"connector_key", "short"}}},
            {"/domains/broken.home.example", Json::array()}});
    auto after = route_table(api->view());
    after.revision = before.revision;
    EXPECT_EQ(after, before);
}

// Without a fleet record that it accepts, a connector is told of no edge, and no name is answered for.
TEST_F(HelpersTest, AFleetRecordIsAcceptedWholeOrNotAtAll) {
    auto document = *api->view().get("/fleet");
    document["acme"] = "https://acme.example/\x1b[2J";
    commit({{"/fleet", document}});
    EXPECT_FALSE(api->view().fleet());
    EXPECT_TRUE(route_table(api->view()).zones.empty());
    EXPECT_TRUE(connector_document(api->view(), Json::array())["edges"].empty());
}

TEST_F(HelpersTest, TwelveThousandRoutesArrive) {
    std::map<std::string, std::optional<Json>> changes;
    const auto before = route_table(api->view()).routes.size();
    for (std::uint32_t i = 0; i < 12'000; ++i) {
        DomainRecord domain;
        domain.mapping_id = 100 + i;
        domain.domain = "n" + std::to_string(i) + ".home.example";
        domain.process = "wiki";
        domain.process_id = 7;
        domain.node = "home1";
        domain.port = 80;
        changes[keys::domain(domain.domain)] = to_json(domain);
    }
    commit(std::move(changes));
    dbus::EdgeClient edge(*user);
    const auto feed = bus.run(edge.routes());
    ASSERT_TRUE(feed) << feed.error().message;
    EXPECT_EQ(route_table_from_json(feed->document)->routes.size(), before + 12'000);
}

TEST(RouteTableSize, MoreThanAnAnswerCarriesIsCutAndTheRestFits) {
    RouteTable table;
    Route route;
    route.domain = std::string(253, 'a');
    route.node_key = std::string(64, 'b');
    table.routes.assign(70'000, route);
    table.zones.push_back({"home.example", {"203.0.113.1"}, "", "", {}});
    table.zones[0].records.assign(12'000, {std::string(253, 'c'), "TXT", 30, std::string(200, 'd')});
    EXPECT_EQ(cut_to_fit(table), 20'000U + 2'000U);
    EXPECT_EQ(table.routes.size(), 50'000U);
    EXPECT_TRUE(dbus::fits("a{sv}", to_json(table), dbus::answer_limits));
    EXPECT_EQ(cut_to_fit(table), 0U);
}

TEST_F(HelpersTest, TheRecordsOfAZoneAreListed) {
    const Zone zone = route_table(api->view()).zones.at(0);
    const auto listed = [&](const std::string& name) {
        Json list = Json::array();
        const auto records = bus.run(client->records(name)).value();
        for (const auto& record : records)
            list.push_back(record["name"].get<std::string>() + " " + record["type"].get<std::string>() + " " +
                           record["data"].get<std::string>());
        return list;
    };
    const auto expected = [&](std::uint32_t serial) {
        Json list = Json::array();
        for (const ZoneRecord& record :
             zone_records(zone, std::vector<std::string>{"wiki.home.example"}, serial))
            list.push_back(record.name + " " + record.type + " " + record.data);
        return list;
    };
    EXPECT_EQ(listed(""), expected(0));
    EXPECT_EQ(listed("home.example")[0],
              "home.example SOA ns1.home.example. hostmaster.home.example. 0 3600 900 1209600 180");
    dbus::EdgeClient edge(*user);
    ASSERT_TRUE(bus.run(edge.report_status({{"serials", {{"home.example", 17}}}})));
    EXPECT_EQ(listed("home.example"), expected(17));
}

TEST_F(HelpersTest, ChangedRoutesAreToldToTheEdgeAlone) {
    dbus::EdgeClient edge(*user);
    std::vector<std::uint64_t> told;
    const auto watch = edge.watch([&](std::uint64_t r) { told.push_back(r); });
    auto stranger = bus.connect();
    dbus::EdgeClient other(*stranger);
    int overheard = 0;
    const auto listen = other.watch([&](std::uint64_t) { ++overheard; });
    ASSERT_TRUE(bus.run(stranger->name_owner("org.p2prc1")));
    ASSERT_TRUE(bus.run(edge.routes()));
    commit({{keys::live("root1"), Json{{"state", "suspect"}}}}); // no route changes
    auto record = process(9, "blog");
    commit({{keys::process("blog"), to_json(record)}});
    DomainRecord domain;
    domain.mapping_id = 9;
    domain.domain = "blog.home.example";
    domain.process = "blog";
    domain.process_id = 9;
    domain.node = "home1";
    domain.port = 80;
    commit({{keys::domain("blog.home.example"), to_json(domain)}});
    ASSERT_TRUE(wait([&] { return !told.empty(); }));
    ASSERT_TRUE(bus.run(stranger->name_owner("org.p2prc1")));
    EXPECT_EQ(told, std::vector<std::uint64_t>{revision});
    EXPECT_EQ(overheard, 0);
    EXPECT_EQ(bus.run(edge.routes()).value().document["routes"].size(), 2U);
}

TEST_F(HelpersTest, TheConnectorDialsTheRootWhereItWasReached) {
    dbus::ConnectorClient connector(*user);
    int told = 0;
    const auto watch = connector.watch([&](std::uint64_t) { ++told; });
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    ASSERT_TRUE(bus.run(connector.mappings()));
    own->set("/info/home1", {{"root_address", "192.168.1.5"}});
    ASSERT_TRUE(wait([&] { return told > 0; }));
    const auto edges = bus.run(connector.mappings()).value().document["edges"];
    ASSERT_EQ(edges.size(), 1U);
    EXPECT_EQ(edges[0]["address"], "192.168.1.5:443");
    own->set("/info/home1", {{"root_address", nullptr}});
    EXPECT_EQ(connector_document(api->view(), Json::array())["edges"].size(), 2U) << "the public ones";
}

TEST_F(HelpersTest, MappingsAreThisNodesAlone) {
    DomainRecord elsewhere;
    elsewhere.mapping_id = 8;
    elsewhere.domain = "b.home.example";
    elsewhere.process = "blog";
    elsewhere.process_id = 9;
    elsewhere.node = "root1";
    commit({{keys::domain("b.home.example"), to_json(elsewhere)}});
    dbus::ConnectorClient connector(*user);
    const auto feed = bus.run(connector.mappings());
    ASSERT_TRUE(feed) << feed.error().message;
    EXPECT_EQ(feed->document, Json::parse(R"({"acme":"none",
        "edges":[{"address":"203.0.113.1:443","key":")" +
                                          std::string(64, 'e') + R"("},
                 {"address":"[2001:db8::1]:443","key":")" +
                                          std::string(64, 'e') + R"("}],
        "zone":"home.example",
        "mappings":[{"id":5,"domain":"wiki.home.example","port":8080,"tls":"passthrough",
                     "availability":"running","hold_ms":10000,"address":"127.0.0.1","groups":[)" +
                                          std::to_string(listeners[0].cgroup) + "]}]}"));
    fleet.node = "root1"; // the root's own connector takes the loopback
    EXPECT_EQ(connector_document(api->view(), Json::array())["edges"],
              Json::array({{{"address", "127.0.0.1:443"}, {"key", std::string(64, 'e')}}}));
    own->set("/info/root1", {{"ipv4", "203.0.113.1"}, {"private_addresses", {"10.0.0.5"}}});
    EXPECT_EQ(connector_document(api->view(), Json::array())["name_servers"],
              (Json{"10.0.0.5", "2001:db8::1", "203.0.113.1"}));
}

TEST_F(HelpersTest, OnlyWhatAProcessHereDeclaresIsMapped) {
    dbus::ConnectorClient connector(*user);
    const auto ports = [&] {
        std::vector<int> found;
        const Json mappings = bus.run(connector.mappings()).value().document["mappings"];
        for (const Json& mapping : mappings)
            found.push_back(mapping["port"]);
        return found;
    };
    EXPECT_EQ(ports(), std::vector<int>{8080});
    DomainRecord sshd;
    sshd.mapping_id = 8;
    sshd.domain = "sshd.home.example";
    sshd.process = "wiki";
    sshd.process_id = 7;
    sshd.node = "home1";
    sshd.port = 22;
    DomainRecord nobody = sshd;
    nobody.mapping_id = 9;
    nobody.domain = "nobody.home.example";
    nobody.process = "nobody";
    nobody.process_id = 99;
    nobody.port = 8080;
    commit({{keys::domain(sshd.domain), to_json(sshd)}, {keys::domain(nobody.domain), to_json(nobody)}});
    EXPECT_EQ(ports(), std::vector<int>{8080});
    // Killed while the root is away: the port may be another program's from now on.
    own->set("/local/home1/7", Json{{"id", 7}, {"action", "kill"}, {"sequence", 1}, {"by", "ann@home1"}});
    EXPECT_EQ(ports(), std::vector<int>());
}

TEST_F(HelpersTest, WhatThisNodeDoesNotAcceptIsNotMapped) {
    refused = "wiki";
    dbus::ConnectorClient connector(*user);
    commit({{keys::live("root1"), Json{{"state", "up"}}}, {keys::process("wiki"), to_json(wiki)}});
    wiki.change = 2;
    commit({{keys::process("wiki"), to_json(wiki)}});
    EXPECT_EQ(bus.run(connector.mappings()).value().document["mappings"], Json::array());
    EXPECT_EQ((*own->get(keys::serving("home1", "wiki.home.example")))["reason"],
              "this node runs no processes for other nodes");
}

TEST_F(HelpersTest, AProcessThatDoesNotRunIsNotDialled) {
    dbus::ConnectorClient connector(*user);
    const auto mapping = [&] { return bus.run(connector.mappings()).value().document["mappings"][0]; };
    EXPECT_EQ(mapping()["address"], "127.0.0.1");
    report(wiki, ProcessState::Stopped);
    EXPECT_TRUE(wait([&] { return !mapping().contains("address"); }));
    report(wiki, ProcessState::Running);
    EXPECT_TRUE(wait([&] { return mapping().contains("address"); }));
}

TEST_F(HelpersTest, WhatIsOnItsWayIsSaidSo) {
    dbus::ConnectorClient connector(*user);
    const auto mapping = [&] { return bus.run(connector.mappings()).value().document["mappings"][0]; };
    const auto is = [&](const char* availability) {
        return wait([&] { return mapping()["availability"] == availability; });
    };
    EXPECT_TRUE(is("running"));
    report(wiki, ProcessState::Stopping);
    EXPECT_TRUE(is("coming"));
    report(wiki, ProcessState::Failed);
    EXPECT_TRUE(is("failed"));
    own->set("/local/home1/7", Json{{"id", 7}, {"action", "start"}, {"sequence", 1}, {"by", "ann@home1"}});
    EXPECT_TRUE(is("coming"));
    own->set("/local/home1/7", Json{{"id", 7}, {"action", "stop"}, {"sequence", 2}, {"by", "ann@home1"}});
    EXPECT_TRUE(is("stopped"));
}

// As supervisors write it between the execution of the command and its readiness.
TEST_F(HelpersTest, WhoListensBeforeItIsReadyIsDialledUnlessItsFileSaysHowItIsReady) {
    dbus::ConnectorClient connector(*user);
    const auto mapping = [&] { return bus.run(connector.mappings()).value().document["mappings"][0]; };
    const auto serving = [&] { return *own->get(keys::serving("home1", "wiki.home.example")); };
    auto starting = status(wiki, ProcessState::Starting);
    starting["pid"] = 42;
    listeners.clear();
    own->set(keys::status("home1", 7), starting);
    EXPECT_TRUE(
        wait([&] { return mapping()["availability"] == "coming" && !mapping().contains("address"); }));
    EXPECT_EQ(mapping()["hold_ms"], 10000);
    EXPECT_EQ(serving()["reason"], "nothing listens on 127.0.0.1:8080");
    listeners = {listener_of("wiki", 8080)};
    EXPECT_TRUE(wait([&] { return mapping().contains("address"); })) << "nobody says that it is ready";
    EXPECT_EQ(mapping()["availability"], "coming");

    wiki.spec.ready.probe = Probe{.kind = Probe::Kind::Http, .path = "/health"};
    wiki.digest = spec_digest(wiki.spec);
    commit({{keys::process("wiki"), to_json(wiki)}});
    EXPECT_TRUE(wait([&] { return !mapping().contains("address"); }));
    EXPECT_EQ(mapping()["availability"], "coming");
    EXPECT_EQ(serving()["reason"], "'wiki' listens, and is not ready yet");
    report(wiki, ProcessState::Running);
    EXPECT_TRUE(wait([&] { return mapping().contains("address"); }));
    EXPECT_EQ(mapping()["availability"], "running");
}

TEST_F(HelpersTest, ADomainSaysWhatItsProcessLacks) {
    auto starting = status(wiki, ProcessState::Starting);
    starting["pid"] = 42;
    starting["waits_for"] = "nothing listens on 127.0.0.1:8080";
    own->set(keys::status("home1", 7), starting);
    const auto domains = bus.run(client->domains());
    ASSERT_TRUE(domains);
    EXPECT_EQ((*domains)[0]["state"], "waiting");
    EXPECT_EQ((*domains)[0]["reason"], "process 'wiki' is starting: nothing listens on 127.0.0.1:8080");
}

// As long as another program has its port, it cannot come.
TEST_F(HelpersTest, WhoeverWaitsForAPortOfAnotherProgramIsNotHeld) {
    dbus::ConnectorClient connector(*user);
    const auto mapping = [&] { return bus.run(connector.mappings()).value().document["mappings"][0]; };
    listeners = {listener_of("squatter", 8080)};
    ASSERT_TRUE(bus.run(connector.report_serving("wiki.home.example", "failing", "refused")));
    EXPECT_TRUE(wait([&] { return mapping()["hold_ms"] == 0; }));
    auto starting = status(wiki, ProcessState::Starting);
    starting["pid"] = 42;
    own->set(keys::status("home1", 7), starting);
    EXPECT_TRUE(wait([&] { return mapping()["availability"] == "failed"; }));
}

TEST_F(HelpersTest, APortOfAnotherProgramIsNotDialled) {
    dbus::ConnectorClient connector(*user);
    int told = 0;
    const auto watch = connector.watch([&](std::uint64_t) { ++told; });
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    const auto mapping = [&] { return bus.run(connector.mappings()).value().document["mappings"][0]; };
    const auto serving = [&] { return *own->get(keys::serving("home1", "wiki.home.example")); };
    listeners = {listener_of("squatter", 8080)};
    // A visitor was refused: it is looked again who is there.
    ASSERT_TRUE(bus.run(connector.report_serving("wiki.home.example", "failing", "refused")));
    EXPECT_TRUE(wait([&] { return !mapping().contains("address"); }));
    EXPECT_EQ(serving()["state"], "failing");
    EXPECT_THAT(serving()["reason"], testing::HasSubstr("port 8080 is held by another program (uid 1000)"));
    listeners = {listener_of("wiki", 8080)};
    EXPECT_TRUE(wait([&] { return mapping().contains("address"); })); // by itself
    EXPECT_GE(told, 2);
    EXPECT_EQ(bus.run(connector.report_serving("wiki.home.example", "splendid", "")).error().code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(bus.run(connector.report_serving("other.home.example", "ok", "")).error().code,
              ErrorCode::NotPermitted);
}

TEST_F(HelpersTest, ManyChangesMakeOneTable) {
    dbus::EdgeClient edge(*user);
    int told = 0;
    const auto watch = edge.watch([&](std::uint64_t) { ++told; });
    ASSERT_TRUE(bus.run(edge.routes()));
    for (std::uint32_t i = 100; i < 200; ++i) {
        DomainRecord domain;
        domain.mapping_id = i;
        domain.domain = "d" + std::to_string(i) + ".home.example";
        domain.process = "later";
        commit({{keys::domain(domain.domain), to_json(domain)}});
    }
    ASSERT_TRUE(wait([&] { return bus.run(edge.routes()).value().document["routes"].size() == 101U; }));
    EXPECT_LE(told, 3);
}

TEST_F(HelpersTest, KeysAreRegisteredOnce) {
    dbus::EdgeClient edge(*user);
    EXPECT_EQ(bus.run(edge.register_key("short")).error().code, ErrorCode::InvalidSpec);
    EXPECT_EQ(bus.run(edge.register_key(key)).error().code, ErrorCode::Unreachable);
    fleet.requests.answers["node.register_key"] = [](const Json& params) -> Result<Json> { return params; };
    ASSERT_TRUE(bus.run(edge.register_key(key)));
    EXPECT_EQ(fleet.requests.requests.back().second["kind"], "edge");
    EXPECT_EQ(fleet.requests.requests.back().second["key"], key);
    const auto asked = fleet.requests.requests.size();
    dbus::ConnectorClient connector(*user);
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c')))); // known already
    EXPECT_EQ(fleet.requests.requests.size(), asked);
}

TEST_F(HelpersTest, TheRootSaysWhetherItsEdgeIsThere) {
    const auto said = [&](const char* what) {
        const auto edge = own->get(keys::edge("home1"));
        return edge ? (*edge)[what] : Json(nullptr);
    };
    EXPECT_EQ(said("up"), nullptr) << "a member has none";
    auto about = *api->view().fleet();
    about.root = "home1";
    commit({{std::string(keys::fleet), to_json(about)}});
    EXPECT_TRUE(wait([&] { return said("up") == false; })) << "it has not come yet";
    fleet.requests.answers["node.register_key"] = [](const Json& params) -> Result<Json> { return params; };
    auto line = bus.connect();
    dbus::EdgeClient edge(*line);
    ASSERT_TRUE(bus.run(edge.register_key(key)));
    EXPECT_EQ(said("up"), true);
    const auto now = bus.run(edge.routes()).value().revision;
    const auto report = [&](std::uint64_t served, const Json& rejected) {
        ASSERT_TRUE(bus.run(edge.report_status({{"revision", served}, {"rejected", rejected}})));
    };
    report(now, Json::array());
    EXPECT_EQ(said("detail"), "");
    report(now, Json::array({{{"name", "a.home.example"}, {"reason", "too long"}}}));
    EXPECT_NE(said("detail").get<std::string>().find("a.home.example: too long"), std::string::npos);
    ASSERT_GT(now, 0U);
    report(now - 1, Json::array());
    EXPECT_EQ(said("detail"), "") << "news may be under way";
    report(now - 1, Json::array());
    EXPECT_NE(said("detail").get<std::string>().find("the registry has"), std::string::npos);
    line.reset();
    EXPECT_TRUE(wait([&] { return said("up") == false; }));
    EXPECT_FALSE(said("since").get<std::string>().empty());
}

class RootStartTest : public ApiTest {};

TEST_F(RootStartTest, ItSaysAtOnceThatItsEdgeHasNotComeYet) {
    populate();
    auto about = *api->view().fleet();
    about.root = "home1";
    commit({{std::string(keys::fleet), to_json(about)}});
    start();
    const auto edge = own->get(keys::edge("home1"));
    ASSERT_NE(edge, nullptr) << "the first change of anything would say so, and change all domains";
    EXPECT_EQ((*edge)["up"], false);
}

TEST_F(HelpersTest, ADomainIsLiveWhileTheConnectorHasATunnel) {
    const auto state = [&] { return bus.run(client->domains()).value()[0]["state"].get<std::string>(); };
    auto line = bus.connect();
    dbus::ConnectorClient connector(*line);
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    EXPECT_EQ(state(), "waiting");
    const auto connecting = [&] { return own->get(keys::tunnel("home1"))->contains("connecting"); };
    const auto report = [&](bool up) {
        Json status = {{"edges", Json::array({{{"address", "203.0.113.1:443"},
                                               {"up", up},
                                               {"error", up ? "" : "connection refused"}}})}};
        ASSERT_TRUE(bus.run(connector.report_status(std::move(status))));
    };
    report(false);
    EXPECT_TRUE(connecting());
    report(true);
    EXPECT_FALSE(connecting());
    EXPECT_EQ(state(), "waiting"); // nobody has tried it
    ASSERT_TRUE(bus.run(connector.report_serving("wiki.home.example", "ok", "")));
    EXPECT_EQ(state(), "live");
    ASSERT_TRUE(
        bus.run(connector.report_serving("wiki.home.example", "failing", "the edge does not answer")));
    EXPECT_EQ(state(), "failed");
    ASSERT_TRUE(bus.run(connector.report_serving("wiki.home.example", "ok", "")));
    report(false);
    EXPECT_EQ(state(), "waiting");
    EXPECT_EQ((*own->get(keys::tunnel("home1")))["detail"], "connection refused");
    EXPECT_FALSE(connecting()) << "it was up, and is lost";
    report(true);
    line.reset();
    const auto ended = [&] { return (*own->get(keys::tunnel("home1")))["up"] == false; };
    EXPECT_TRUE(wait(ended));
}

TEST_F(HelpersTest, ChallengesAndCertificatesOnlyForWhatIsServedHere) {
    dbus::ConnectorClient connector(*user);
    fleet.requests.answers["challenge.publish"] = [](const Json& params) -> Result<Json> { return params; };
    fleet.requests.answers["certificate.sign"] = [](const Json&) -> Result<Json> {
        return Json{{"chain", "PEM"}};
    };
    EXPECT_TRUE(bus.run(connector.publish_challenge("wiki.home.example", "v")));
    EXPECT_EQ(bus.run(connector.publish_challenge("other.home.example", "v")).error().code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(bus.run(connector.sign_certificate("wiki.home.example", "csr")).value(), "PEM");
    EXPECT_EQ(bus.run(connector.sign_certificate("other.home.example", "csr")).error().code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(bus.run(connector.issue_certificate("wiki.home.example")).error().code, ErrorCode::Conflict);
    ASSERT_TRUE(bus.run(
        connector.report_certificate("wiki.home.example", "ready", "issuer", "2027-01-01T00:00:00Z")));
    EXPECT_EQ((*own->get(keys::certificate("home1", "wiki.home.example")))["state"], "ready");
    EXPECT_FALSE(bus.run(connector.report_certificate("wiki.home.example", "splendid", "", "")));
    EXPECT_FALSE(bus.run(connector.report_certificate("other.home.example", "ready", "", "")));
    commit({{keys::domain("wiki.home.example"), std::nullopt}});
    EXPECT_TRUE(wait([&] { return own->get(keys::certificate("home1", "wiki.home.example")) == nullptr; }));
}

// A registry that was restored from an older copy takes the domain in again presently. The connector, which
// asks once for both changes, sees nothing new and has nothing to report.
TEST_F(HelpersTest, ACertificateOfADomainThatWasAwayForAMomentStaysKnown) {
    dbus::ConnectorClient connector(*user);
    const auto certificate = [&] { return own->get(keys::certificate("home1", "wiki.home.example")); };
    const Json record = *api->view().get(keys::domain("wiki.home.example"));
    int told = 0;
    const auto watch = connector.watch([&](std::uint64_t) { ++told; });
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    ASSERT_TRUE(bus.run(connector.mappings()));
    ASSERT_TRUE(
        bus.run(connector.report_certificate("wiki.home.example", "ready", "", "2027-01-01T00:00:00Z")));
    commit({{keys::domain("wiki.home.example"), std::nullopt}});
    ASSERT_TRUE(wait([&] { return told == 1; }));
    EXPECT_TRUE(certificate());
    commit({{keys::domain("wiki.home.example"), record}});
    ASSERT_TRUE(wait([&] { return told == 2; }));
    ASSERT_TRUE(bus.run(connector.mappings()));
    ASSERT_TRUE(certificate());
    EXPECT_EQ((*certificate())["state"], "ready");
    // One that is gone when the connector asks is forgotten.
    commit({{keys::domain("wiki.home.example"), std::nullopt}});
    ASSERT_TRUE(bus.run(connector.mappings()));
    EXPECT_FALSE(certificate());
}

// As the connector does it: asked by the signal, it reports; nobody else is told.
TEST_F(HelpersTest, TheConnectorIsAskedForTrafficWhenSomebodyWatches) {
    report(wiki, ProcessState::Running);
    auto line = bus.connect();
    dbus::ConnectorClient connector(*line);
    int asked = 0;
    const auto watch = connector.watch_traffic_asked([&] {
        ++asked;
        boost::asio::co_spawn(
            bus.io,
            connector.report_traffic(Json::array(
                {{{"mapping", 5U}, {"connections", 2U}, {"received_bytes", 100U}, {"sent_bytes", 3000U}},
                 {{"mapping", 99U}, {"sent_bytes", 1U}}})),
            [](const std::exception_ptr&, const Result<void>& done) {
                EXPECT_TRUE(done) << done.error().message;
            });
    });
    ASSERT_TRUE(watch);
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    EXPECT_EQ(asked, 0);
    const auto measured = bus.run(api->measure_usage());
    ASSERT_TRUE(measured);
    EXPECT_EQ(asked, 1);
    const auto process = node_usage_from_json(*measured).processes.at(wiki.id);
    EXPECT_EQ(process.connections, 2U);
    EXPECT_EQ(process.received_bytes, 100U);
    EXPECT_EQ(process.sent_bytes, 3000U);
}

TEST_F(HelpersTest, AConnectorThatDoesNotAnswerIsNotWaitedFor) {
    report(wiki, ProcessState::Running);
    auto line = bus.connect();
    dbus::ConnectorClient connector(*line);
    ASSERT_TRUE(bus.run(connector.register_key(std::string(64, 'c'))));
    const auto measured = bus.run(api->measure_usage());
    ASSERT_TRUE(measured);
    const auto usage = node_usage_from_json(*measured);
    EXPECT_GT(usage.measured_usec, 0U);
    EXPECT_FALSE(usage.processes.at(wiki.id).connections);
}

TEST_F(HelpersTest, ReportsShowInTheFacts) {
    dbus::EdgeClient edge(*user);
    ASSERT_TRUE(bus.run(edge.report_status({{"sessions", 2}})));
    EXPECT_EQ(bus.run(client->facts()).value()["edge_report"], Json({{"sessions", 2}}));
    EXPECT_EQ(bus.run(edge.report_status({{"junk", std::string(70000, 'x')}})).error().code,
              ErrorCode::InvalidSpec);
}

// The users are the real ones here; the tests run as another one.
class StrangerTest : public ApiTest {
  protected:
    StrangerTest() : ApiTest({}, HelperUsers{}) {}
};

TEST_F(StrangerTest, OthersAreRefused) {
    populate();
    start();
    dbus::EdgeClient edge(*user);
    EXPECT_EQ(bus.run(edge.routes()).error().code, ErrorCode::NotPermitted);
    dbus::ConnectorClient connector(*user);
    EXPECT_EQ(bus.run(connector.mappings()).error().code, ErrorCode::NotPermitted);
    EXPECT_EQ(bus.run(connector.publish_challenge("wiki.home.example", "v")).error().code,
              ErrorCode::NotPermitted);
}

} // namespace
} // namespace p2prc::daemon
