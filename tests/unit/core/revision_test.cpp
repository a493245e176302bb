// Revisions of a process, and what differs between two of them.
#include "core/records.h"
#include "core/revision.h"
#include "core/revision_outcome.h"
#include "core/spec_changes.h"
#include "core/text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace p2prc {
namespace {

using Json = nlohmann::json;

ProcessSpec spec(const Json& more = Json::object()) {
    Json document{{"name", "web"}, {"run", {{"command", {"/bin/web"}}}}};
    document.update(more);
    const auto read = spec_from_document(document);
    EXPECT_TRUE(read) << (read ? "" : read.error().message);
    return *read;
}

std::vector<std::string> keys(const std::vector<SpecChange>& changes) {
    std::vector<std::string> list;
    for (const auto& change : changes)
        list.push_back(change.key);
    return list;
}

TEST(SpecChanges, AreNamedByTheKeysOfTheFile) {
    EXPECT_TRUE(spec_changes(spec(), spec()).empty());
    const auto changes = spec_changes(
        spec({{"limits", {{"memory", "512M"}}}, {"domain", "a.example"}, {"port", 80}}),
        spec({{"limits", {{"memory", "1G"}}}, {"port", 80}, {"run", {{"command", "exec web"}}}}));
    EXPECT_EQ(keys(changes), (std::vector<std::string>{"domain", "run.command", "limits.memory"}));
    EXPECT_EQ(to_json(changes[0]), (Json{{"key", "domain"}, {"from", "a.example"}, {"to", nullptr}}));
    EXPECT_EQ(to_json(changes[1]),
              (Json{{"key", "run.command"}, {"from", "[\"/bin/web\"]"}, {"to", "exec web"}}));
    EXPECT_EQ(changes[0].effect, ChangeEffect::Route);
    EXPECT_EQ(changes[2].effect, ChangeEffect::Live);
    EXPECT_TRUE(restarts(changes));
}

TEST(SpecChanges, RestartOnlyForWhatNeedsIt) {
    const auto restart = [](const Json& more) {
        return restarts(spec_changes(spec({{"port", 80}}), spec(more)));
    };
    EXPECT_FALSE(restart({{"port", 80}, {"limits", {{"tasks", 9}, {"cpu", "50%"}}}}));
    EXPECT_FALSE(restart({{"port", 80}, {"live", {{"http", "/"}}}, {"update", {{"hold", "3s"}}}}));
    EXPECT_FALSE(restart({{"port", 80}, {"ready", {{"http", "/"}, {"timeout", "3s"}}}}));
    EXPECT_TRUE(restart({{"port", 80}, {"ready", {{"notify", true}}}}));
    EXPECT_TRUE(restart({{"port", 81}}));
    EXPECT_TRUE(restart({{"port", 80}, {"run", {{"command", {"/bin/web"}}, {"data", false}}}}));
}

TEST(SpecChanges, ShowNoValueOfTheEnvironment) {
    const auto run = [](Json environment) {
        return spec({{"run", {{"command", {"/bin/web"}}, {"environment", std::move(environment)}}}});
    };
    const auto changes = spec_changes(run({{"TZ", "UTC"}, {"OLD", "x"}, {"KEY", "secret"}}),
                                      run({{"TZ", "UTC"}, {"KEY", "better"}}));
    EXPECT_EQ(keys(changes), (std::vector<std::string>{"run.environment.KEY", "run.environment.OLD"}));
    for (const auto& change : changes)
        EXPECT_EQ(to_json(change).dump().find("secret"), std::string::npos);
    EXPECT_FALSE(changes[1].to);
}

TEST(SpecChanges, OfLongTextsShowWhereTheyDiffer) {
    const std::string same(500, 'x');
    const auto changes = spec_changes(spec({{"run", {{"command", same + "old"}}}}),
                                      spec({{"run", {{"command", same + "new"}}}}));
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(*changes[0].from, "..." + std::string(20, 'x') + "old");
    EXPECT_EQ(*changes[0].to, "..." + std::string(20, 'x') + "new");
}

TEST(Revisions, TheirNodeKnowsTheOutcomeFirst) {
    ProcessStatus status;
    EXPECT_EQ(outcome_now(2, Outcome::Pending, nullptr), Outcome::Pending);
    EXPECT_EQ(outcome_now(2, Outcome::Pending, &status), Outcome::Pending);
    status.good = 2;
    EXPECT_EQ(outcome_now(2, Outcome::Pending, &status), Outcome::Good);
    EXPECT_EQ(outcome_now(3, Outcome::Pending, &status), Outcome::Pending);
    EXPECT_EQ(outcome_now(2, Outcome::Failed, &status), Outcome::Failed) << "what is recorded stays";
    for (const auto& [phase, outcome] :
         {std::pair(UpdatePhase::Confirming, Outcome::Pending),
          std::pair(UpdatePhase::RollingBack, Outcome::Pending), std::pair(UpdatePhase::Good, Outcome::Good),
          std::pair(UpdatePhase::RolledBack, Outcome::RolledBack),
          std::pair(UpdatePhase::Failed, Outcome::Failed)}) {
        status.update = UpdateProgress{.revision = 3, .fallback = 2, .phase = phase};
        EXPECT_EQ(outcome_now(3, Outcome::Pending, &status), outcome);
        EXPECT_EQ(outcome_now(2, Outcome::Pending, &status), Outcome::Good) << "it is of another one";
    }
}

TEST(SpecChanges, OfScriptsShowTheLinesThatDiffer) {
    const auto change = [](const std::string& from, const std::string& to) {
        const auto with = [](const std::string& script) {
            return spec({{"deploy", {{"strategy", "script"}, {"script", script}}}});
        };
        const auto changes = spec_changes(with(from), with(to));
        EXPECT_EQ(changes.size(), 1U);
        return changes.empty() ? std::pair<std::string, std::string>()
                               : std::pair(changes[0].from.value_or("-"), changes[0].to.value_or("-"));
    };
    using Pair = std::pair<std::string, std::string>;
    EXPECT_EQ(change("set -e\ncp a b\nexit\n", "set -e\ncp a c\nexit\n"), Pair("cp a b", "cp a c"));
    EXPECT_EQ(change("set -e\nexit\n", "set -e\ncp a b\n\tcp b c\nexit\n"), Pair("", "cp a b\n\tcp b c"));
    EXPECT_EQ(change("one", std::string(20, '\n')).second.substr(10), "... (11 more lines)");
    // A newline at the end is all that differs.
    const auto [from, to] = change("a", "a\n");
    EXPECT_EQ(from.find("(1 byte, SHA-256 "), 0U);
    EXPECT_EQ(to.find("(2 bytes, SHA-256 "), 0U);
    // What a terminal must not be sent.
    EXPECT_EQ(change("a", "\x1b[2J").second.find("(4 bytes, SHA-256 "), 0U);
    // No part of a character.
    std::string umlauts;
    for (int i = 0; i < 100; ++i)
        umlauts += "\u00fc";
    const auto cut = change("x" + umlauts + "1", "x" + umlauts + "2").second;
    EXPECT_EQ(cut.find("\xEF\xBF\xBD"), std::string::npos);
    EXPECT_EQ(text::for_bus(cut), cut);
    EXPECT_TRUE(cut.ends_with("\u00fc2")) << cut;
}

TEST(Revisions, AreStoredAndReadWithTheirProcess) {
    ProcessRecord process;
    process.id = 7;
    process.name = "web";
    process.node = "home1";
    process.spec = spec();
    process.digest = spec_digest(process.spec);
    process.created_by = "anna@home1";
    EXPECT_FALSE(to_json(process).contains("former")) << "most have one revision, and take no room for more";
    EXPECT_FALSE(to_json(process).contains("revision"));
    Revision next{2,
                  spec({{"port", 80}}),
                  "",
                  80,
                  2,
                  "bob@home1",
                  "2026-01-01T00:00:00Z",
                  Outcome::Pending,
                  {},
                  1,
                  "copied"};
    replace_revision(process, next, Outcome::Good);
    const auto read = process_from_json(to_json(process));
    ASSERT_TRUE(read);
    EXPECT_EQ(to_json(*read), to_json(process));
    EXPECT_EQ(read->revision, 2u);
    EXPECT_EQ(read->revised_by, "bob@home1");
    EXPECT_EQ(read->deployment, 2u);
    EXPECT_EQ(present_revision(*read).rollback_of, 1u);
    EXPECT_EQ(present_revision(*read).data, "copied");
    ASSERT_TRUE(last_good_revision(*read));
    EXPECT_EQ(last_good_revision(*read)->by, "anna@home1");
    // And back: the number that was not kept is never the next.
    auto back = *former_revision(process, 1);
    StopReason why;
    why.kind = StopKind::ExitCode;
    replace_revision(process, back, Outcome::RolledBack, why);
    EXPECT_EQ(process.revision, 1u);
    EXPECT_EQ(last_revision(process), 2u);
    EXPECT_EQ(former_revision(process, 2)->reason->kind, StopKind::ExitCode);
    EXPECT_FALSE(former_revision(process, 1));
    const auto kept = process_from_json(to_json(process));
    ASSERT_TRUE(kept);
    EXPECT_EQ(former_revision(*kept, 2)->rollback_of, 1u);
    EXPECT_EQ(former_revision(*kept, 2)->data, "copied");
    EXPECT_EQ(kept->rollback_of, 0u);
}

} // namespace
} // namespace p2prc
