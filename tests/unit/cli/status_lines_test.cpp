// The screen of p2prc status.
#include "cli/status_lines.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;
using testing::Contains;
using testing::ElementsAre;

TEST(StatusLines, OfARoot) {
    const Json status{
        {"node", "root"},
        {"root", true},
        {"fleet", {{"zone", "home.example"}, {"root", "root"}}},
        {"edge", "up"},
        {"nodes", {{"up", 2}}},
        {"tunnels", {{"up", 2}}},
        {"processes", {{"failed", 1}, {"running", 2}}},
        {"domains", {{"live", 1}}},
        {"certificates", {{"none", 1}, {"ready", 2}}},
        {"problems",
         {{{"severity", "down"},
           {"cause", "node 'attic' has not answered since 10:00:00 UTC"},
           {"hint", "check its power"},
           {"affects", {"process web", "process wiki", "domain web.home.example"}}},
          {{"severity", "warning"}, {"cause", "disk of node 'root': little room"}, {"hint", ""}}}}};
    EXPECT_THAT(
        status_lines(status),
        ElementsAre("node         root (root)", "fleet        home.example", "edge         up",
                    "nodes        2: 2 up", "tunnels      2: 2 up", "processes    3: 1 failed, 2 running",
                    "domains      1: 1 live", "certificates 3: 1 not obtained yet, 2 ready",
                    "problem      node 'attic' has not answered since 10:00:00 UTC",
                    "               down with it: process web, wiki; domain web.home.example",
                    "               check its power", "note         disk of node 'root': little room"));
}

TEST(StatusLines, OfAMachineAlone) {
    EXPECT_THAT(status_lines({{"node", "attic"}, {"processes", Json::object()}}),
                ElementsAre("node         attic (standalone)",
                            "fleet        none; create one with p2prc init, or join one with p2prc join",
                            "processes    none"));
}

TEST(StatusLines, AnOwnerIsCalledOne) {
    EXPECT_THAT(status_lines({{"node", "loft"}, {"role", "owner"}, {"fleet", {{"zone", "home.example"}}}}),
                Contains("node         loft (owner)"));
}

TEST(StatusLines, OfAMemberWhoseRootIsAway) {
    EXPECT_THAT(
        status_lines({{"node", "attic"}, {"fleet", {{"zone", "home.example"}, {"root", "root"}}}}),
        Contains("root         root, not reachable; what is shown of other nodes may be out of date"));
}

} // namespace
} // namespace p2prc::cli
