// What the command line says of a process, of its data, and of the addresses of a fleet.
#include "cli/custom.h"
#include "cli/explain.h"
#include "cli/last_stop.h"
#include "cli/node_table.h"
#include "cli/process_data.h"
#include "cli/process_words.h"
#include "cli/public_addresses.h"
#include "tests/unit/net/temporary_directory.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include <fstream>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(LastStop, IsADashBeforeTheFirst) {
    for (const auto& process :
         {Json{{"state", "running"}}, Json{{"state", "running"}, {"reason", nullptr}}}) {
        EXPECT_EQ(last_stop_kind(process), "-");
        EXPECT_EQ(last_stop_text(process), "-");
    }
}

TEST(LastStop, OfALostProcessIsWhatItsNodeReportedBefore) {
    Json process{{"state", "running"},
                 {"node", "attic"},
                 {"reason", {{"kind", "exit-code"}, {"code", 3}, {"node", "attic"}, {"at", "10:00"}}}};
    EXPECT_EQ(last_stop_kind(process), "exit-code");
    EXPECT_EQ(last_stop_text(process), "exit-code 3 (on attic, 10:00)");
    process["state"] = "lost";
    EXPECT_EQ(last_stop_kind(process), "not known; before: exit-code");
    EXPECT_EQ(last_stop_text(process),
              "not known: node 'attic' does not answer; before that: exit-code 3 (on attic, 10:00)");
    process.erase("reason");
    EXPECT_EQ(last_stop_kind(process), "not known");
    EXPECT_EQ(last_stop_text(process), "not known: node 'attic' does not answer");
}

TEST(FormerData, OfAnEmptyDirectoryNothingIsSaid) {
    const net::TemporaryDirectory directory;
    const auto path = directory.path().string();
    EXPECT_THAT(former_data_lines("web", path), IsEmpty());
    EXPECT_THAT(former_data_lines("web", path + "/nothing"), IsEmpty());
    std::ofstream(directory.path() / "file") << "precious";
    const auto lines = former_data_lines("web", path);
    ASSERT_THAT(lines, SizeIs(2));
    EXPECT_THAT(lines[0], HasSubstr("the data of the earlier process 'web' is now in " + path + ";"));
    EXPECT_THAT(lines[1], HasSubstr("sudo cp -a " + path + "/. /var/lib/p2prc-data/web/"));
}

TEST(WebAddresses, TheDomainThatWasAskedForComesFirst) {
    const Json web{{"domain", "a1.home.example"}, {"domains", {"a1.home.example", "web.home.example"}}};
    EXPECT_THAT(web_addresses(web, "web.home.example"),
                testing::ElementsAre("https://web.home.example", "https://a1.home.example"));
    EXPECT_THAT(web_addresses(web, ""),
                testing::ElementsAre("https://a1.home.example", "https://web.home.example"));
    EXPECT_THAT(web_addresses(Json::object(), ""), IsEmpty());
}

TEST(Unheard, WhatIsAskedOfANodeThatDoesNotAnswerIsNotSaidToBeDone) {
    EXPECT_EQ(removed_unheard_words("web", "attic"),
              "'web' is removed; attic does not answer: it may still run there, and is ended when attic is "
              "back");
    EXPECT_EQ(stop_unheard_words("web", "attic"),
              "'web' is to be stopped; attic does not answer: it may still run there, and is stopped when "
              "attic is back");
}

TEST(Nodes, OneIsShownInWordsOfPeople) {
    const Json attic{
        {"object", "/org/p2prc1/nodes/attic"},
        {"name", "attic"},
        {"state", "up"},
        {"latency_ms", 1.5},
        {"memory_bytes", 1536},
        {"deployers",
         {{{"name", "image"}, {"admitted", false}, {"missing", {"/usr/bin/umoci"}}, {"problem", ""}},
          {{"name", "own"}, {"problem", "x is not executable"}},
          {{"name", "script"}, {"admitted", true}, {"missing", Json::array()}}}},
        {"last_seen", "2026-01-01T00:00:00Z"},
        {"last_seen_timestamp", 1795812789000000}};
    const auto text = render(one_node_table(attic));
    EXPECT_THAT(text, HasSubstr("\nmemory       1.5K\n"));
    EXPECT_THAT(text, HasSubstr("\ndeployers    image (not for other nodes; needs /usr/bin/umoci), own (x is "
                                "not executable), script\n"));
    EXPECT_THAT(text, HasSubstr("\nlatency      1.5 ms\n"));
    EXPECT_THAT(text, HasSubstr("\nlast seen    now\n"));
    for (const auto* word : {"object", "timestamp", "bytes"})
        EXPECT_EQ(text.find(word), std::string::npos) << text;
}

TEST(Nodes, AMistypedNameIsSuggested) {
    const Json nodes{{{"name", "attic"}}, {{"name", "cellar"}}};
    EXPECT_EQ(find_node(nodes, "attic").value()["name"], "attic");
    EXPECT_EQ(find_node(nodes, "attik").error().hint, "did you mean 'attic'?");
    EXPECT_EQ(find_node(nodes, "mars").error().hint, "p2prc nodes lists them");
}

TEST(FoundAddresses, AreNamedWithTheWayToOthers) {
    EXPECT_EQ(found_addresses_text({{"public_ips", {"203.0.113.10", "2001:db8::10"}}}),
              "the fleet's public addresses are 203.0.113.10 and 2001:db8::10, found on this machine; to use "
              "others: p2prc init --public-ip IP");
    EXPECT_THAT(found_addresses_text({{"public_ips", {"203.0.113.10"}}}),
                HasSubstr("public address is 203.0.113.10, found"));
}

TEST(Rollback, WhatItReplacesIsTold) {
    const Json web{{"name", "web"}, {"node", "attic"}, {"revision", 3}};
    const auto history = [](const char* data, bool snapshot) {
        return Json{{{"revision", 3}, {"outcome", "good"}, {"data", data}, {"snapshot", true}},
                    {{"stop", "stopped"}, {"revision", nullptr}},
                    {{"revision", 2}, {"outcome", "failed"}, {"data", nullptr}, {"snapshot", snapshot}},
                    {{"revision", 1}, {"outcome", "good"}, {"data", "copied"}, {"snapshot", snapshot}}};
    };
    EXPECT_THAT(replaced_copy_words(web, history("copied", true), 0),
                HasSubstr("/var/lib/p2prc-data/web.before on attic has the data of before revision 3"));
    EXPECT_THAT(replaced_copy_words(web, history("copied", true), 2), HasSubstr("before revision 3"));
    // What could not be copied has left the copy of before.
    EXPECT_THAT(replaced_copy_words(web, history("not copied: that takes longer than 5 s", true), 1),
                HasSubstr("before revision 1"));
    EXPECT_EQ(replaced_copy_words(web, history("put back", true), 0), "");
    EXPECT_EQ(replaced_copy_words(web, history("copied", false), 0), "") << "none is made";
    EXPECT_EQ(replaced_copy_words(web, history("copied", true), 9), "") << "there is no such revision";
}

class RevisedTest : public testing::Test {
  protected:
    // Of revision 5, which is revision 2 again.
    Told told(const char* outcome, const Json& next, bool no_wait = false, bool redeployed = false) {
        process["next"] = next;
        const Json history{
            {{"revision", 5},
             {"outcome", outcome},
             {"rollback_of", redeployed ? Json(nullptr) : Json(2)},
             {"reason", std::string(outcome) == "rolled-back" ? Json{{"kind", "exit-code"}, {"code", 3}}
                                                              : Json(nullptr)}},
            {{"stop", "stopped"}, {"revision", nullptr}},
            {{"revision", 4}, {"outcome", "good"}, {"rollback_of", nullptr}, {"reason", nullptr}}};
        auto revision = revised(process, history, 5);
        revision.redeployed = redeployed;
        return how_it_is(process, Asked::Start, "", no_wait, revision);
    }
    Json process{{"name", "web"}, {"node", "attic"}, {"port", 80}, {"state", "running"}, {"ready", true}};
};

TEST_F(RevisedTest, ItIsSaidToWhichOneARollbackWentBack) {
    const auto done = told("good", nullptr);
    EXPECT_THAT(done.lines,
                testing::ElementsAre("'web' is back to revision 2, as revision 5, on attic, port 80"));
    EXPECT_EQ(done.status, 0);
    EXPECT_TRUE(done.serves);
    EXPECT_THAT(told("good", nullptr, false, true).lines,
                testing::ElementsAre("'web' was deployed anew and runs revision 5 on attic, port 80"));
}

// Beside it the one before serves, which is what is ready.
TEST_F(RevisedTest, WhatHasNotTakenOverYetIsNotSaidToRun) {
    const auto* next = "revision 5 takes over if it becomes ready and stays up; otherwise revision 4 runs on";
    EXPECT_THAT(
        told("pending", next, true).lines,
        testing::ElementsAre(std::string("'web' goes back to revision 2, as revision 5, on attic: ") + next));
    EXPECT_THAT(told("pending", next, true, true).lines,
                testing::ElementsAre(std::string("'web' is deployed anew as revision 5 on attic: ") + next));
    process["ready"] = false;
    process["state"] = "updating";
    EXPECT_THAT(
        told("pending", next, true).lines,
        testing::ElementsAre(std::string("'web' goes back to revision 2, as revision 5, on attic: ") + next));
}

TEST_F(RevisedTest, WhatWasNotKeptIsNotSaidToRun) {
    const auto told_so = told("rolled-back", nullptr, true);
    EXPECT_EQ(told_so.status, 1);
    EXPECT_THAT(told_so.lines, testing::ElementsAre("revision 5 of 'web' was not kept: exit-code 3",
                                                    "  p2prc history web shows what ran before"));
}

TEST_F(RevisedTest, OfAStoppedProcessItIsThatOfItsNextStart) {
    process["ready"] = false;
    process["state"] = "stopped";
    process["reason"] = Json{{"kind", "stopped"}};
    EXPECT_THAT(told("pending", nullptr).lines,
                testing::ElementsAre("'web' is stopped; it runs revision 2, as revision 5, when it is "
                                     "started: p2prc start web"));
    EXPECT_THAT(
        told("pending", nullptr, false, true).lines,
        testing::ElementsAre("'web' is stopped; its deployer runs anew when it is started: p2prc start web"));
}

TEST(Paused, ItIsSaidHowItGoesOn) {
    Json web{{"name", "web"}, {"node", "attic"}, {"state", "paused"}, {"reason", {{"kind", "paused"}}}};
    EXPECT_EQ(resume_words(web), "to let it go on, on attic: p2prc resume web");
    web["reason"]["owner"] = "hut";
    EXPECT_EQ(resume_words(web), "to let it go on, on attic: p2prc resume --owner hut");
    web["state"] = "running";
    EXPECT_EQ(resume_words(web), "");
}

TEST(Clean, WhatWasNotThereWasNotRemoved) {
    EXPECT_EQ(cleaned_words({{"results", 0}, {"bytes", 0}}), "there was nothing to remove");
    EXPECT_EQ(cleaned_words({{"results", 0}, {"bytes", 2048}}),
              "what deployers had kept was removed: 2.0K of disk space freed");
    EXPECT_EQ(cleaned_words({{"results", 1}, {"bytes", 0}}),
              "1 result was removed, with what deployers had kept: 0B of disk space freed");
}

TEST(Changes, OfScriptsAreLines) {
    const auto lines = [](const Json& from, const Json& to) {
        return change_lines({{"key", "deploy.script"}, {"from", from}, {"to", to}});
    };
    EXPECT_THAT(lines("80", "81"), testing::ElementsAre("deploy.script: 80 -> 81"));
    EXPECT_THAT(lines(nullptr, "81"), testing::ElementsAre("deploy.script: not set -> 81"));
    EXPECT_THAT(lines("cp a b", "cp a c\n\tcp b c"),
                testing::ElementsAre("deploy.script:", "  - cp a b", "  + cp a c", "  + \tcp b c"));
    EXPECT_THAT(lines("", "cp a b"), testing::ElementsAre("deploy.script:", "  + cp a b"));
}

TEST(Custom, OfAProcessIsMarkedAsSuch) {
    Table table;
    add_custom(table, {{"custom", {{"port", "the blue one"}}}});
    ASSERT_THAT(table.rows, SizeIs(1));
    EXPECT_THAT(table.rows[0], testing::ElementsAre("custom.port", "the blue one"));
}

TEST(PlacementTable, WhereNoneIsChosenItIsSaidWhichFits) {
    const Json fits{{"node", "barn"}, {"fits", true}}, not_here{{"node", "attic"}, {"fits", false}};
    EXPECT_EQ(unplaced_words("web", "", {not_here}), "no node fits 'web':");
    EXPECT_EQ(unplaced_words("web", "", {not_here, fits}),
              "'web' does not fit this machine; to run it on one that fits (barn), give --node:");
    EXPECT_EQ(unplaced_words("web", "attic", {not_here, fits}),
              "'web' does not fit node 'attic'; to run it on one that fits (barn), give --node:");
}

TEST(PlacementTable, HasALineForEachNodeWithAllThatIsInTheWay) {
    const Json rows = {
        {{"node", "attic"},
         {"fits", true},
         {"chosen", true},
         {"summary", "5.1G of 8.0G free"},
         {"obstacles", Json::array()}},
        {{"node", "barn"}, {"fits", true}, {"chosen", false}, {"summary", ""}},
        {{"node", "cellar"},
         {"fits", false},
         {"chosen", false},
         {"obstacles",
          {{{"code", "memory"}, {"text", "needs 2.0G"}}, {{"code", "label"}, {"text", "no\x1b[2Jssd\n"}}}}}};
    EXPECT_EQ(render(placement_table(Json::array({rows[0], rows[1]}))),
              "NODE   FITS    WHY\nattic  chosen  5.1G of 8.0G free\nbarn   yes     fits\n");
    const auto text = render(placement_table(Json::array({rows[2]})));
    EXPECT_THAT(text, HasSubstr("cellar  no    needs 2.0G; no"));
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(DrainedTable, SaysWhereEachGoesOrWhatKeepsIt) {
    const auto rows = Json::parse(R"([{"process": "a", "to": "cellar", "obstacles": []},
                                      {"process": "b", "obstacles": [{"code": "data", "text": "its data is here"}]}])");
    EXPECT_EQ(render(drained_table(rows)),
              "PROCESS  TO      WHY\na        cellar  -\nb        -       its data is here\n");
}

} // namespace
} // namespace p2prc::cli
