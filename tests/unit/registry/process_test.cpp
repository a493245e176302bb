// Spin, stop, start, restart, kill; ids and ports.
#include "tests/unit/registry/fleet.h"
#include "tests/unit/support/source_dir.h"

#include <fstream>
#include <iterator>

namespace p2prc::registry::test {
namespace {

class ProcessRulesTest : public FleetTest {
  protected:
    ProcessRulesTest() { make_fleet(); }
};

TEST_F(ProcessRulesTest, ASpinIsOneTransaction) {
    const auto before = registry_->store().revision();
    const auto done = spin(root(), spec("web", {{"port", 8080}, {"domain", "web.home.example"}}));
    EXPECT_EQ(registry_->store().revision(), before + 1);
    EXPECT_EQ(done,
              (Json{{"id", 1}, {"name", "web"}, {"node", "root"}, {"created", true}, {"deployment", 0}}));
    const auto process = at("/processes/web");
    EXPECT_EQ(process["id"], 1);
    EXPECT_EQ(process["port"], 8080);
    EXPECT_EQ(process["desired"], "running");
    EXPECT_EQ(process["created_by"], "admin@root");
    const auto domain = at("/domains/web.home.example");
    EXPECT_EQ(domain["process_id"], 1);
    EXPECT_EQ(domain["node"], "root");
    EXPECT_EQ(domain["port"], 8080);
    EXPECT_EQ(domain["from_file"], true);
    EXPECT_EQ(domain["mapping_id"], 1);
}

TEST_F(ProcessRulesTest, TheSameAgainDoesNothing) {
    spin(root(), spec("web", {{"port", 0}}));
    const auto before = registry_->store().revision();
    const auto again = spin(root(), spec("web", {{"port", 0}}));
    EXPECT_EQ(again["created"], false);
    EXPECT_EQ(again["id"], 1);
    EXPECT_EQ(registry_->store().revision(), before);
}

TEST_F(ProcessRulesTest, AnotherNodeForANameThatRunsIsAConflictThatNamesTheNode) {
    const auto home = add("home1", 'b');
    spin(home, spec("web"));
    for (const Json& more : {Json::object(), Json{{"port", 1234}}}) {
        const auto error = refused(root(), "process.spin", {{"spec", spec("web", more)}, {"node", "root"}});
        EXPECT_EQ(error.code, ErrorCode::Conflict);
        EXPECT_THAT(error.message, HasSubstr("'home1', not on 'root'"));
        EXPECT_THAT(error.hint, HasSubstr("p2prc kill web"));
    }
}

TEST_F(ProcessRulesTest, BadSpecificationsAndNodes) {
    EXPECT_EQ(refused(root(), "process.spin").code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("edge")}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("web", {{"prot", 1}})}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("web")}, {"node", "mars"}}).code,
              ErrorCode::NotFound);
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("web", {{"domain", "web.home.example"}})}}).code,
              ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "process.spin", Json::array()).code, ErrorCode::InvalidSpec);
}

TEST_F(ProcessRulesTest, AFixedPortIsOncePerNode) {
    const auto home = add("home1", 'b');
    spin(root(), spec("web", {{"port", 8080}}));
    const auto error = refused(root(), "process.spin", {{"spec", spec("other", {{"port", 8080}})}});
    EXPECT_EQ(error.code, ErrorCode::PortTaken);
    EXPECT_THAT(error.message, HasSubstr("port 8080 on node 'root' is taken by process 'web'"));
    EXPECT_FALSE(error.hint.empty());
    spin(home, spec("other", {{"port", 8080}}));
}

TEST_F(ProcessRulesTest, FurtherPortsAreOncePerNodeToo) {
    const auto home = add("home1", 'b');
    spin(root(), spec("sync", {{"port", 8384}, {"ports", {22000, 25565}}}));
    for (const Json& wanted :
         {Json{{"port", 22000}}, Json{{"ports", {8384}}}, Json{{"ports", {1234, 25565}}}}) {
        const auto error = refused(root(), "process.spin", {{"spec", spec("other", wanted)}});
        EXPECT_EQ(error.code, ErrorCode::PortTaken) << wanted;
        EXPECT_THAT(error.message, HasSubstr("is taken by process 'sync'"));
        const bool further = wanted.contains("ports");
        EXPECT_EQ(error.message.find("(in `ports`)") != std::string::npos, further) << error.message;
        EXPECT_EQ(error.hint.find("port = 0") == std::string::npos, further) << error.hint;
    }
    spin(home, spec("other", {{"ports", {22000}}}));
    EXPECT_TRUE(at("/processes/other")["port"].is_null());
    EXPECT_EQ(refused(home, "process.spin", {{"spec", spec("sshd", {{"ports", {22}}})}}).code,
              ErrorCode::NotPermitted);
    EXPECT_EQ(refused(root(), "process.spin", {{"spec", spec("web", {{"ports", {443}}})}}).code,
              ErrorCode::PortTaken)
        << "the edge's";
}

TEST_F(ProcessRulesTest, AChosenPortIsNoneOfTheFurtherOnes) {
    spin(root(), spec("first", {{"port", 0}}));
    const int chosen = at("/processes/first")["port"];
    ok(root(), "process.kill", {{"process", "first"}});
    spin(root(), spec("first", {{"port", 0}, {"ports", {chosen}}}));
    EXPECT_NE(at("/processes/first")["port"], chosen);
}

TEST_F(ProcessRulesTest, ChosenPortsAreRememberedAndUnique) {
    std::set<int> ports;
    for (int i = 0; i < 50; ++i) {
        const auto name = "p" + std::to_string(i);
        spin(root(), spec(name, {{"port", 0}}));
        const int port = at("/processes/" + name)["port"];
        EXPECT_GE(port, 20000);
        EXPECT_LE(port, 29999);
        EXPECT_TRUE(ports.insert(port).second);
    }
    const int port = at("/processes/p7")["port"];
    ok(root(), "process.stop", {{"process", "p7"}});
    ok(root(), "process.start", {{"process", "p7"}});
    open();
    EXPECT_EQ(at("/processes/p7")["port"], port);
    const auto error = refused(root(), "process.spin", {{"spec", spec("fixed", {{"port", port}})}});
    EXPECT_EQ(error.code, ErrorCode::PortTaken);
    EXPECT_THAT(error.message, HasSubstr("'p7'"));
    ok(root(), "process.kill", {{"process", "p7"}});
    spin(root(), spec("fixed", {{"port", port}}));
    spin(root(), spec("p7", {{"port", 0}}));
    EXPECT_NE(at("/processes/p7")["port"], port) << "chosen over one that is taken";
}

TEST_F(ProcessRulesTest, PortsOfTheOwnerAndOfTheEdge) {
    const auto home = add("home1", 'b');
    for (const int port : {22, 53, 80, 443}) {
        const auto refusal = refused(home, "process.spin", {{"spec", spec("sshd", {{"port", port}})}});
        EXPECT_EQ(refusal.code, ErrorCode::NotPermitted);
        EXPECT_THAT(refusal.message, HasSubstr("is reserved for the owners of the fleet, as are ports "));
        EXPECT_THAT(refusal.hint, HasSubstr("from a node with the role owner"));
    }
    EXPECT_THAT(refused(home, "process.spin", {{"spec", spec("sshd", {{"port", 53}})}}).message,
                HasSubstr("port 53 is reserved for the owners of the fleet, as are ports 22, 80 and 443"));
    for (const auto* page : {"docs/process-file.md", "docs/man/p2prc-process.5.scd"}) {
        std::ifstream file(p2prc::test::source_path(page));
        const std::string text(std::istreambuf_iterator<char>(file), {});
        EXPECT_THAT(text, HasSubstr("22, 53, 80 and 443")) << page;
    }
    const auto error = refused(root(), "process.spin", {{"spec", spec("web", {{"port", 443}})}});
    EXPECT_EQ(error.code, ErrorCode::PortTaken);
    EXPECT_THAT(error.message, HasSubstr("p2prc-edge"));
    spin(root(), spec("mail", {{"port", 22}}));
}

TEST_F(ProcessRulesTest, IdsAreNeverUsedAgain) {
    spin(root(), spec("a"));
    ok(root(), "process.kill", {{"process", "a"}});
    EXPECT_EQ(spin(root(), spec("a"))["id"], 2);
    ok(root(), "process.kill", {{"process", "a"}});
    for (const auto* key : {"/status/root/1", "/status/root/2"}) // the tombstones go
        ok(root(), "status.update",
           {{"set", {{key, {{"state", "stopped"}, {"reason", {{"kind", "killed"}}}}}}}});
    for (const auto* key : {"/status/root/1", "/status/root/2"})
        ok(root(), "status.update", {{"delete", {key}}});
    EXPECT_TRUE(keys_below("/tombstones/").empty());
    open();
    EXPECT_EQ(spin(root(), spec("a"))["id"], 3);
}

TEST_F(ProcessRulesTest, ARestoredRegistryGivesOutNoIdTwice) {
    spin(root(), spec("a"));
    registry_.reset();
    fs::copy_file(file(), directory_ / "older.db");
    open();
    const auto home = add("home1", 'b');
    for (int i = 0; i < 5; ++i)
        spin(root(), spec("b" + std::to_string(i)));
    registry_.reset();
    fs::copy_file(directory_ / "older.db", file(), fs::copy_options::overwrite_existing);
    open();
    EXPECT_GT(spin(root(), spec("c"))["id"], 6) << "ids after the copy may run somewhere";
    // What a node reports counts too.
    ok(root(), "status.update", {{"set", {{"/status/root/5000", {{"id", 5000}, {"state", "running"}}}}}});
    EXPECT_EQ(spin(root(), spec("d"))["id"], 5001);
    ok(root(), "status.update", {{"set", {{"/status/root/4294967295", {{"state", "running"}}}}}});
    EXPECT_EQ(spin(root(), spec("e"))["id"], 5002) << "the numbers do not run out at a node's word";
}

TEST_F(ProcessRulesTest, ChangesAreCounted) {
    spin(root(), spec("a"));
    EXPECT_EQ(ok(root(), "process.restart", {{"process", "a"}})["change"], 2);
    EXPECT_EQ(ok(root(), "process.stop", {{"process", "1"}})["change"], 3);
    EXPECT_EQ(at("/processes/a")["desired"], "stopped");
    EXPECT_EQ(ok(root(), "process.stop", {{"process", "a"}})["change"], 3) << "it is stopped already";
    EXPECT_EQ(ok(root(), "process.start", {{"process", "a"}})["change"], 4);
    EXPECT_EQ(at("/processes/a")["desired"], "running");
    EXPECT_EQ(at("/processes/a")["changed_by"], "admin@root");
}

TEST_F(ProcessRulesTest, StartingWhatRunsDoesNothingAndWhatFailedTriesAgain) {
    spin(root(), spec("a"));
    const auto report = [&](const char* state) {
        ok(root(), "status.update",
           {{"set", {{"/status/root/1", {{"id", 1}, {"state", state}, {"applied", 1}}}}}});
    };
    report("running");
    EXPECT_EQ(ok(root(), "process.start", {{"process", "a"}})["change"], 1);
    report("failed");
    EXPECT_EQ(ok(root(), "process.start", {{"process", "a"}})["change"], 2);
}

TEST_F(ProcessRulesTest, KillLeavesATombstoneAndKeepsMappedDomains) {
    spin(root(), spec("web", {{"port", 0}, {"domain", "web.home.example"}}));
    ok(root(), "domain.map", {{"domain", "www.home.example"}, {"process", "web"}});
    const auto before = registry_->store().revision();
    const auto done = ok(root(), "process.kill", {{"process", "web.home.example"}});
    EXPECT_EQ(registry_->store().revision(), before + 1);
    EXPECT_EQ(done["kept_domains"], Json({"www.home.example"}));
    EXPECT_EQ(at("/processes/web"), Json());
    EXPECT_EQ(at("/domains/web.home.example"), Json());
    const auto kept = at("/domains/www.home.example");
    EXPECT_EQ(kept["process_id"], 0);
    EXPECT_EQ(kept["node"], "");
    EXPECT_EQ(kept["process"], "web");
    const auto tombstone = at("/tombstones/1");
    EXPECT_EQ(tombstone["node"], "root");
    EXPECT_EQ(tombstone["by"], "admin@root");
    EXPECT_EQ(tombstone["at"], "2027-01-15T08:00:00Z");
    EXPECT_EQ(refused(root(), "process.kill", {{"process", "web"}}).code, ErrorCode::NotFound);
    // Spun again, the kept mapping leads to it, under its old mapping id.
    spin(root(), spec("web", {{"port", 0}}));
    const auto again = at("/domains/www.home.example");
    EXPECT_EQ(again["process_id"], 2);
    EXPECT_EQ(again["node"], "root");
    EXPECT_EQ(again["mapping_id"], kept["mapping_id"]);
}

TEST_F(ProcessRulesTest, NotFoundNamesTheNearest) {
    spin(root(), spec("calendar"));
    const auto error = refused(root(), "process.stop", {{"process", "calender"}});
    EXPECT_EQ(error.code, ErrorCode::NotFound);
    EXPECT_THAT(error.hint, HasSubstr("'calendar'"));
    EXPECT_EQ(refused(root(), "process.stop", {{"process", "77"}}).code, ErrorCode::NotFound);
    EXPECT_EQ(refused(root(), "process.stop", {{"process", "01"}}).code, ErrorCode::NotFound)
        << "no id is written so";
    EXPECT_EQ(refused(root(), "process.stop", {{"process", "99999999999999"}}).code, ErrorCode::NotFound);
    EXPECT_EQ(refused(root(), "process.stop", {{"process", "x.home.example"}}).code, ErrorCode::NotFound);
    EXPECT_EQ(refused(root(), "process.stop", {{"process", ""}}).code, ErrorCode::InvalidSpec);
    EXPECT_EQ(refused(root(), "process.stop", {{"process", 5}}).code, ErrorCode::InvalidSpec);
}

TEST_F(ProcessRulesTest, AMemberChangesOnlyItsOwn) {
    const auto one = add("home1", 'b');
    const auto two = add("home2", 'c');
    spin(one, spec("a"));
    for (const auto* method : {"process.stop", "process.start", "process.restart", "process.kill"}) {
        const auto error = refused(two, method, {{"process", "a"}});
        EXPECT_EQ(error.code, ErrorCode::NotPermitted) << method;
        EXPECT_THAT(error.message, HasSubstr("'home1'"));
    }
    ok(root(), "process.stop", {{"process", "a"}});
    ok(one, "process.start", {{"process", "a"}});
}

TEST_F(ProcessRulesTest, CustomInformationIsNoPartOfWhatRuns) {
    const auto home = add("home1", 'b'), other = add("home2", 'c');
    spin(home, spec("web"));
    const auto before = at("/processes/web");
    ok(home, "process.custom", {{"process", "web"}, {"custom", {{"ask", "Grete"}}}});
    auto after = at("/processes/web");
    EXPECT_EQ(after["custom"], (Json{{"ask", "Grete"}}));
    after.erase("custom");
    EXPECT_EQ(after, before) << "nothing is restarted";
    ok(home, "process.restart", {{"process", "web"}});
    spin(home, spec("web", {{"limits", {{"tasks", 7}}}}));
    EXPECT_EQ(at("/processes/web")["custom"], (Json{{"ask", "Grete"}})) << "an update keeps it";
    EXPECT_EQ(refused(other, "process.custom", {{"process", "web"}, {"custom", Json::object()}}).code,
              ErrorCode::NotPermitted);
    for (const Json& wrong : {Json("a"), Json{{"a", 1}}, Json{{"a", std::string(5000, 'x')}}})
        EXPECT_EQ(refused(home, "process.custom", {{"process", "web"}, {"custom", wrong}}).code,
                  ErrorCode::InvalidSpec);
    ok(root(), "process.custom", {{"process", "web"}, {"custom", Json::object()}});
    EXPECT_FALSE(at("/processes/web").contains("custom"));
}

TEST_F(ProcessRulesTest, WhoHasTooMuchCanHaveLess) {
    auto home = add("home1", 'b', "owner");
    const auto describe = [](std::size_t length) {
        return Json{{"process", "web"}, {"custom", {{"a", std::string(length, 'x')}}}};
    };
    spin(home, spec("web"));
    ok(home, "process.custom", describe(500));
    for (int i = 0; i < 80; ++i)
        spin(home,
             spec("p" + std::to_string(i), {{"run", {{"command", {"/bin/x", std::string(60000, 'x')}}}}}));
    // As an owner it had room for it.
    auto node = at("/nodes/home1");
    node["role"] = "member";
    plant("/nodes/home1", node);
    home.role = Role::Member;
    EXPECT_EQ(refused(home, "process.custom", describe(501)).code, ErrorCode::Conflict);
    ok(home, "process.custom", describe(499));
    ok(home, "process.custom", {{"process", "web"}, {"custom", Json::object()}});
    EXPECT_FALSE(at("/processes/web").contains("custom"));
}

TEST_F(ProcessRulesTest, WhatANodeTakesFromOthers) {
    const auto one = add("home1", 'b');
    const auto two = add("home2", 'c');
    const auto policy = [&](const char* value) {
        ok(one, "status.update", {{"set", {{"/info/home1", {{"remote_spin", value}}}}}});
    };
    const auto with_user = spec("u", {{"run", {{"command", {"/bin/true"}}, {"user", "root"}}}});
    const auto with_credentials =
        spec("c", {{"run", {{"command", {"/bin/true"}}, {"credentials", {{"KEY", "/etc/shadow"}}}}}});
    const auto on_one = [](const Json& document) { return Json{{"spec", document}, {"node", "home1"}}; };

    // Nothing said: sandboxed.
    EXPECT_EQ(refused(root(), "process.spin", on_one(with_user)).code, ErrorCode::NotPermitted);
    EXPECT_THAT(refused(two, "process.spin", on_one(with_credentials)).message, HasSubstr("credentials"));
    ok(two, "process.spin", on_one(spec("plain")));
    ok(two, "process.kill", {{"process", "plain"}}); // its own, though it ran there
    policy("no");
    EXPECT_THAT(refused(root(), "process.spin", on_one(spec("plain"))).message, HasSubstr("home1"));
    ok(one, "process.spin", {{"spec", with_user}});
    ok(one, "process.kill", {{"process", "u"}});
    policy("any");
    ok(root(), "process.spin", on_one(with_user));
    policy("something later");
    EXPECT_EQ(refused(root(), "process.spin", on_one(spec("x"))).code, ErrorCode::NotPermitted);
}

TEST_F(ProcessRulesTest, OnlyTheUserIsTheCallersWord) {
    auto home = add("home1", 'b');
    home.user.clear();
    ok(home, "process.spin", {{"spec", spec("a")}, {"by", "eve<>@root"}});
    EXPECT_EQ(at("/processes/a")["created_by"], "eve@home1");
}

TEST_F(ProcessRulesTest, UnknownRequestsAndStrangers) {
    EXPECT_EQ(refused(root(), "process.levitate").code, ErrorCode::NotSupported);
    EXPECT_EQ(refused(member("mars"), "process.spin", {{"spec", spec("a")}}).code, ErrorCode::NotPermitted);
    EXPECT_EQ(refused(stranger(), "status.put", {{"items", Json::object()}}).code, ErrorCode::NotPermitted);
}

TEST_F(ProcessRulesTest, EverythingIsThereAfterACrash) {
    spin(root(), spec("a", {{"port", 0}}));
    const auto process = at("/processes/a");
    for (const auto* suffix : {"", "-wal"})
        fs::copy_file(file() + suffix, (directory_ / "crashed.db").string() + suffix);
    RegistryOptions options;
    options.file = (directory_ / "crashed.db").string();
    auto crashed = Registry::open(std::move(options));
    ASSERT_TRUE(crashed);
    EXPECT_EQ(Json::parse((**(*crashed)->store().get(replicated_table, "/processes/a")).value), process);
}

} // namespace
} // namespace p2prc::registry::test
