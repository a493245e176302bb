#include "daemon/api/log_control.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "tests/unit/daemon/api/fixture.h"
#include "tests/unit/support/source_dir.h"

#include <systemd/sd-bus.h>

#include <fstream>
#include <limits>
#include <regex>
#include <set>
#include <sstream>

namespace p2prc::daemon {
namespace {

// The tags of the interfaces of ours in an introspection document, attributes in order, one a line; without
// the annotations for Qt, which sd-bus does not make.
std::map<std::string, std::vector<std::string>> interfaces_of(std::string xml) {
    xml = std::regex_replace(xml, std::regex("<!--[^]*?-->"), "");
    std::map<std::string, std::vector<std::string>> result;
    std::vector<std::string>* current = nullptr;
    const std::regex tag("<(/?)([a-z]+)([^>]*?)/?>");
    const std::regex attribute("([a-z]+)=\"([^\"]*)\"");
    for (std::sregex_iterator it(xml.begin(), xml.end(), tag), end; it != end; ++it) {
        const std::string name = (*it)[2];
        std::set<std::string> attributes;
        std::string id;
        const std::string text = (*it)[3];
        for (std::sregex_iterator a(text.begin(), text.end(), attribute); a != end; ++a) {
            attributes.insert((*a)[0].str());
            if ((*a)[1] == "name") id = (*a)[2];
        }
        if (name == "interface") {
            current = (*it)[1].length() == 0 && id.starts_with("org.p2prc1.") ? &result[id] : nullptr;
        } else if (current && (*it)[1].length() == 0 && !id.starts_with("org.qtproject.")) {
            std::string line = name;
            for (const std::string& a : attributes)
                line += " " + a;
            current->push_back(line);
        }
    }
    return result;
}

class ObjectsTest : public ApiTest {
  protected:
    void SetUp() override {
        populate();
        start();
    }
    Json call(const char* path, const char* interface, const char* member, const std::string& in = {},
              const Json& arguments = Json::array()) {
        const dbus::Caller caller(*user, false, false);
        auto body = bus.run(caller.invoke(path, interface, member, in, arguments));
        EXPECT_TRUE(body) << member << ": " << body.error().message;
        return body.value_or(Json::array({nullptr}));
    }
    Json property(const char* path, const char* interface, const char* name) {
        return call(path, "org.freedesktop.DBus.Properties", "Get", "ss", Json::array({interface, name}))[0];
    }
};

TEST_F(ObjectsTest, IntrospectionEqualsTheInterfaceFiles) {
    const std::map<std::string, const char*> objects{
        {"Manager", "/org/p2prc1"},         {"Process", "/org/p2prc1/process/7"},
        {"Node", "/org/p2prc1/node/home1"}, {"Domain", "/org/p2prc1/domain/wiki_2ehome_2eexample"},
        {"Edge", dbus::names::edge_path},   {"Connector", dbus::names::connector_path}};
    for (const auto& [name, path] : objects) {
        std::stringstream file;
        file << std::ifstream(test::source_path(std::string("dbus/interfaces/org.p2prc1.") + name + ".xml"))
                    .rdbuf();
        const auto expected = interfaces_of(file.str());
        ASSERT_EQ(expected.size(), 1U) << name;
        const auto live = interfaces_of(call(path, "org.freedesktop.DBus.Introspectable", "Introspect")[0]);
        EXPECT_EQ(live, expected) << name;
    }
}

TEST_F(ObjectsTest, ManagedObjectsAreAll) {
    const Json objects =
        call(dbus::names::root_path, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0];
    std::set<std::string> paths;
    for (const auto& [path, interfaces] : objects.items())
        paths.insert(path);
    EXPECT_EQ(paths,
              (std::set<std::string>{"/org/p2prc1/process/7", "/org/p2prc1/node/home1",
                                     "/org/p2prc1/node/root1", "/org/p2prc1/domain/wiki_2ehome_2eexample"}));
    const Json& process = objects["/org/p2prc1/process/7"]["org.p2prc1.Process"];
    EXPECT_EQ(process["Name"], "wiki");
    EXPECT_EQ(process["Status"], true);
    EXPECT_EQ(process["Reason"], Json::object());
    EXPECT_EQ(process["KillCommand"], "");
    EXPECT_EQ(process["NodeObject"], "/org/p2prc1/node/home1");
    EXPECT_EQ(process["SinceTimestamp"], 1767323045000000);
    EXPECT_FALSE(process.contains("Object"));
    const Json& domain = objects["/org/p2prc1/domain/wiki_2ehome_2eexample"]["org.p2prc1.Domain"];
    EXPECT_EQ(domain["ProcessObject"], "/org/p2prc1/process/7");
    EXPECT_EQ(domain["NodeObject"], "/org/p2prc1/node/home1");
}

// Edge and connector of the version before, in the middle of an upgrade.
TEST_F(ObjectsTest, HelpersAreServedAtTheirFormerPathsAndNotListedThere) {
    EXPECT_TRUE(call(dbus::names::former_edge_path, dbus::names::edge_interface, "GetRoutes")[1].is_object());
    EXPECT_TRUE(call(dbus::names::former_connector_path, dbus::names::connector_interface, "GetMappings")[1]
                    .is_object());
    const std::string root =
        call(dbus::names::root_path, "org.freedesktop.DBus.Introspectable", "Introspect")[0];
    EXPECT_EQ(root.find("node name=\"edge\""), std::string::npos);
    EXPECT_EQ(root.find("org.p2prc1.Edge"), std::string::npos);
    const dbus::Caller caller(*user, false, false);
    const auto wrong = bus.run(
        caller.invoke("/org/p2prc1/process/7", dbus::names::edge_interface, "GetRoutes", "", Json::array()));
    EXPECT_FALSE(wrong) << "there, and nowhere else";
}

// An element of a path can be escaped in several ways; the bus announces one.
TEST_F(ObjectsTest, AnObjectHasOnePath) {
    const dbus::Caller caller(*user, false, false);
    for (const char* path : {"/org/p2prc1/domain/w_69ki_2ehome_2eexample", "/org/p2prc1/process/07",
                             "/org/p2prc1/process/wiki", "/org/p2prc1/process/_37"}) {
        const auto found = bus.run(caller.invoke(path, "org.freedesktop.DBus.Properties", "GetAll", "s",
                                                 Json::array({"org.p2prc1.Domain"})));
        EXPECT_FALSE(found) << path;
    }
}

// 0 is an amount; nothing is not.
TEST_F(ObjectsTest, WhatIsNotKnown) {
    const auto of_process = [this](const char* name) {
        return property("/org/p2prc1/process/7", "org.p2prc1.Process", name);
    };
    EXPECT_EQ(of_process("MemoryBytes"), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(of_process("CpuSeconds"), -1.0);
    EXPECT_EQ(property("/org/p2prc1/node/root1", "org.p2prc1.Node", "LatencyMs"), -1.0);
    EXPECT_EQ(property("/org/p2prc1/node/root1", "org.p2prc1.Node", "LastSeenTimestamp"), 0);
    commit({{keys::process("wiki"), std::nullopt}});
    EXPECT_EQ(property("/org/p2prc1/domain/wiki_2ehome_2eexample", "org.p2prc1.Domain", "ProcessObject"),
              "/");
}

TEST_F(ObjectsTest, PathsAreFoundByNameAndNamedInRows) {
    const auto path = [this](const char* member, const char* name) {
        return call(dbus::names::root_path, dbus::names::manager_interface, member, "s",
                    Json::array({name}))[0];
    };
    for (const char* name : {"7", "wiki", "wiki.home.example"})
        EXPECT_EQ(path("GetProcess", name), "/org/p2prc1/process/7");
    EXPECT_EQ(path("GetNode", "root1"), "/org/p2prc1/node/root1");
    EXPECT_EQ(path("GetDomain", "Wiki.Home.Example."), "/org/p2prc1/domain/wiki_2ehome_2eexample");
    const dbus::Caller caller(*user, false, false);
    for (const char* member : {"GetProcess", "GetNode", "GetDomain"}) {
        const auto unknown = bus.run(caller.invoke(dbus::names::root_path, dbus::names::manager_interface,
                                                   member, "s", Json::array({"no.body"})));
        ASSERT_FALSE(unknown) << member;
        EXPECT_EQ(unknown.error().code, ErrorCode::NotFound) << member;
        EXPECT_FALSE(unknown.error().hint.empty()) << member;
    }
    const Json process = bus.run(client->processes()).value()[0];
    EXPECT_EQ(process["object"], "/org/p2prc1/process/7");
    EXPECT_EQ(process["node_object"], "/org/p2prc1/node/home1");
    EXPECT_EQ(process["since_timestamp"], 1767323045000000);
    EXPECT_EQ(bus.run(client->nodes()).value()[1]["object"], "/org/p2prc1/node/root1");
    const Json domain = bus.run(client->domains()).value()[0];
    EXPECT_EQ(domain["object"], "/org/p2prc1/domain/wiki_2ehome_2eexample");
    EXPECT_EQ(domain["process_object"], "/org/p2prc1/process/7");
}

// What another node says of itself names no objects, and no times.
TEST_F(ObjectsTest, ANodeNamesNoOtherObject) {
    commit({{keys::node_info("root1"),
             Json{{"object", "/org/p2prc1/node/home1"}, {"last_seen_timestamp", 5}, {"os", "Debian"}}}});
    const Json root = bus.run(client->nodes()).value()[1];
    EXPECT_EQ(root["object"], "/org/p2prc1/node/root1");
    EXPECT_FALSE(root.contains("last_seen_timestamp"));
    EXPECT_EQ(root["os"], "Debian");
}

TEST_F(ObjectsTest, ChangesAreAnnouncedOnceATurn) {
    std::vector<std::pair<std::string, Json>> signals;
    const auto match =
        user->match("type='signal',path_namespace='/org/p2prc1'", [&](const dbus::Message& message) {
            if (message.member() == "Event") return;
            const auto body = dbus::read_body(message);
            signals.emplace_back(message.member(), body.value_or(nullptr));
        });
    ASSERT_TRUE(bus.run(user->name_owner(dbus::names::service)));
    StopReason reason;
    reason.kind = StopKind::ExitCode;
    reason.code = 1;
    report(wiki, ProcessState::Stopping);
    report(wiki, ProcessState::Failed, reason);
    ASSERT_TRUE(wait([&] { return signals.size() >= 2; }));
    // The process, and its domain that serves no more.
    ASSERT_EQ(signals.size(), 2U);
    EXPECT_EQ(signals[0].first, "PropertiesChanged");
    EXPECT_EQ(signals[0].second[0], "org.p2prc1.Process");
    EXPECT_EQ(signals[0].second[1]["State"], "failed");
    EXPECT_EQ(signals[0].second[1]["Status"], false);
    EXPECT_EQ(signals[0].second[1]["Reason"]["kind"], "exit-code");
    EXPECT_FALSE(signals[0].second[1].contains("Name"));
    EXPECT_EQ(signals[1].second[0], "org.p2prc1.Domain");
    EXPECT_EQ(signals[1].second[1]["State"], "failed");

    signals.clear();
    const auto more = process(9, "blog", "root1");
    commit({{keys::process("blog"), to_json(more)}});
    ASSERT_TRUE(wait([&] { return signals.size() >= 1; }));
    EXPECT_EQ(signals[0].first, "InterfacesAdded");
    EXPECT_EQ(signals[0].second[0], "/org/p2prc1/process/9");
    EXPECT_EQ(signals[0].second[1]["org.p2prc1.Process"]["Node"], "root1");

    signals.clear();
    commit({{keys::process("blog"), std::nullopt}});
    ASSERT_TRUE(wait([&] { return signals.size() >= 1; }));
    EXPECT_EQ(signals[0].first, "InterfacesRemoved");
    EXPECT_EQ(signals[0].second[0], "/org/p2prc1/process/9");
}

TEST_F(ObjectsTest, AReportThatComesWithItsProcessOrAfterIt) {
    std::vector<std::pair<std::string, Json>> signals;
    const auto match =
        user->match("type='signal',path_namespace='/org/p2prc1'", [&](const dbus::Message& message) {
            if (message.member() == "Event") return;
            const auto body = dbus::read_body(message);
            signals.emplace_back(message.member(), body.value_or(nullptr));
        });
    ASSERT_TRUE(bus.run(user->name_owner(dbus::names::service)));
    const auto blog = process(9, "blog", "home1");
    report(blog, ProcessState::Starting);
    commit({{keys::process("blog"), to_json(blog)}});
    report(blog, ProcessState::Running);
    ASSERT_TRUE(wait([&] { return !signals.empty(); }));
    ASSERT_EQ(signals.size(), 1U);
    EXPECT_EQ(signals[0].first, "InterfacesAdded");
    EXPECT_EQ(signals[0].second[1]["org.p2prc1.Process"]["State"], "running");

    signals.clear();
    report(wiki, ProcessState::Stopping);
    report(blog, ProcessState::Stopped);
    commit({{keys::process("blog"), std::nullopt}});
    report(blog, ProcessState::Failed);
    ASSERT_TRUE(wait([&] { return signals.size() >= 3; }));
    ASSERT_EQ(signals.size(), 3U);
    EXPECT_EQ(signals[0].first, "InterfacesRemoved");
    EXPECT_EQ(signals[0].second[0], "/org/p2prc1/process/9");
    EXPECT_EQ(signals[1].second[1]["State"], "stopping"); // wiki, and then its domain
    EXPECT_EQ(signals[2].second[0], "org.p2prc1.Domain");
}

TEST_F(ObjectsTest, ObjectsHaveTheirVerbs) {
    fleet.requests.answers["process.kill"] = [this](const Json& params) -> Result<Json> {
        EXPECT_EQ(params["process"], "7");
        commit({{keys::process("wiki"), std::nullopt}});
        own->erase(keys::status("home1", 7));
        return Json{{"id", 7}, {"name", "wiki"}, {"node", "home1"}, {"change", 2}};
    };
    call("/org/p2prc1/process/7", dbus::names::process_interface, "Kill");
    call("/org/p2prc1/node/root1", dbus::names::node_interface, "Remove");
    EXPECT_EQ(fleet.removed, std::vector<std::string>{"root1"});
    fleet.requests.answers["domain.unmap"] = [](const Json& params) -> Result<Json> { return params; };
    call("/org/p2prc1/domain/wiki_2ehome_2eexample", dbus::names::domain_interface, "Unmap");
    EXPECT_EQ(fleet.requests.requests.back().second["domain"], "wiki.home.example");
}

TEST_F(ObjectsTest, AnUnreadableDocumentOfAnotherNodeHidesOnlyItself) {
    commit({{"/info/root1", Json{{"ipv4", 5}, {"cpus", "many"}, {"custom", {{"a", {{"b", 1}}}}}}},
            {"/status/root1/9", Json("garbage")},
            {"/processes/odd", Json("garbage")},
            {"/live/root1", Json("garbage")}});
    const auto nodes = bus.run(client->nodes());
    ASSERT_TRUE(nodes) << nodes.error().message;
    EXPECT_FALSE((*nodes)[1].contains("ipv4"));
    EXPECT_TRUE((*nodes)[1].value("custom", Json::object()).empty()) << "that is in the node's record";
    EXPECT_EQ(property("/org/p2prc1/node/root1", "org.p2prc1.Node", "Ipv4"), "");
    EXPECT_EQ(bus.run(client->processes()).value().size(), 1U);
}

TEST_F(ObjectsTest, LogControl) {
    EXPECT_EQ(property(log_control_path, "org.freedesktop.LogControl1", "SyslogIdentifier"), "p2prcd");
    const std::string before = property(log_control_path, "org.freedesktop.LogControl1", "LogLevel");
    EXPECT_FALSE(before.empty());
}

TEST_F(ObjectsTest, TheNodesNameIsAnnounced) {
    std::vector<Json> changes;
    const auto match =
        user->match("type='signal',path='/org/p2prc1',member='PropertiesChanged'",
                    [&](const dbus::Message& m) { changes.push_back(dbus::read_body(m).value()); });
    ASSERT_TRUE(bus.run(user->name_owner(dbus::names::service)));
    fleet.node = "home2";
    fleet.requests.answers["x"] = [](const Json&) -> Result<Json> { return Json(); };
    api->link_changed();
    ASSERT_TRUE(wait([&] { return !changes.empty(); }));
    EXPECT_EQ(changes[0][1], Json({{"NodeName", "home2"}, {"Reachable", true}}));
}

TEST_F(ObjectsTest, TheStateOfARootThatDoesNotAnswerIsAnnounced) {
    fleet.requests.answers["x"] = [](const Json&) -> Result<Json> { return Json(); };
    api->link_changed();
    const auto* root = "/org/p2prc1/node/root1";
    ASSERT_TRUE(wait([&] { return property(root, "org.p2prc1.Node", "State") == "up"; }));
    std::vector<Json> changes;
    const auto match =
        user->match("type='signal',path='/org/p2prc1/node/root1',member='PropertiesChanged'",
                    [&](const dbus::Message& m) { changes.push_back(dbus::read_body(m).value()); });
    ASSERT_TRUE(bus.run(user->name_owner(dbus::names::service)));
    fleet.requests.answers.clear();
    api->link_changed();
    ASSERT_TRUE(wait([&] { return !changes.empty(); }));
    EXPECT_EQ(changes[0][1]["State"], "suspect");
}

} // namespace
} // namespace p2prc::daemon
