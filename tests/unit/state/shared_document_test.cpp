#include "core/keys.h"
#include "state/fleet_state.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <thread>
#include <vector>

namespace p2prc::state {
namespace {

using Json = nlohmann::json;

Json process(std::uint32_t id, const std::string& name) {
    ProcessRecord record;
    record.id = id;
    record.name = name;
    record.node = "home1";
    record.spec = spec_from_document(Json{{"name", name}, {"run", {{"command", "exec x"}}}}).value();
    return to_json(record);
}

SharedDocument::Pointer document(const std::string& key, const Json& value) {
    return SharedDocument::of(key, document_text(value), value);
}

TEST(SharedDocument, IsOneForAllThatHaveTheSame) {
    const auto key = keys::process("web");
    const auto one = document(key, process(7, "web"));
    EXPECT_EQ(document(key, process(7, "web")), one);
    EXPECT_NE(document(key, process(8, "web")), one);
    EXPECT_EQ(SharedDocument::process(one)->record.id, 7U);
    EXPECT_EQ(SharedDocument::domain(one), nullptr);
    const auto report = document(keys::status("home1", 7), {{"state", "running"}});
    EXPECT_EQ(document(keys::status("home2", 8), {{"state", "running"}}), report);
    EXPECT_EQ(SharedDocument::process(report), nullptr);
}

TEST(SharedDocument, SaysOfEachKeyWhatIsTrueOfIt) {
    const auto value = process(7, "web");
    const auto right = document(keys::process("web"), value);
    const auto wrong = document(keys::process("api"), value);
    const auto report = document(keys::status("home1", 7), value);
    EXPECT_TRUE(SharedDocument::process(right)->accepted());
    EXPECT_FALSE(SharedDocument::process(wrong)->accepted());
    EXPECT_EQ(SharedDocument::process(wrong)->record.name, "api");
    EXPECT_EQ(SharedDocument::process(report), nullptr);
    EXPECT_EQ(document(keys::process("web"), value), right);
    EXPECT_EQ(report->text(), right->text());
}

TEST(SharedDocument, IsReadAnewWhenNobodyHasItAnyMore) {
    const auto key = keys::process("web");
    auto entry = SharedDocument::process(document(key, process(7, "web")));
    EXPECT_EQ(entry->record.id, 7U) << "it is there as long as what it says";
    entry.reset();
    EXPECT_EQ(SharedDocument::process(document(key, process(7, "web")))->record.id, 7U);
}

// The text is written anew of what is kept, and must be the one that was given, whatever it was.
TEST(SharedDocument, HasTheTextThatItWasMadeOf) {
    auto of_a_later_version = process(7, "web");
    of_a_later_version["colour"] = {{"name", "blue"}};
    of_a_later_version["spec"]["window"] = 3;
    ProcessStatus status;
    status.id = 7;
    status.name = "web";
    status.reason = StopReason{.kind = StopKind::ExitCode, .code = 3, .log = {"one", "two"}};
    auto report_of_a_later_version = status_to_json(status);
    report_of_a_later_version["colour"] = "blue";
    const auto web = keys::process("web"), report = keys::status("home1", 7);
    for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
             {web, process(7, "web")},
             {web, of_a_later_version},
             {web, process(7, "another")},
             {web, {{"id", "seven"}}},
             {web, Json::array({1, 2})},
             {web, nullptr},
             {keys::domain("a.example"), {{"domain", "a.example"}, {"process", "web"}, {"mapping_id", 1}}},
             {keys::domain("a.example"), {{"domain", 5}}},
             {report, status_to_json(status)},
             {report, report_of_a_later_version},
             {report, "running"},
             {keys::certificate("home1", "a.example"), {{"state", "ready"}}}}) {
        const auto text = document_text(value);
        const auto held = SharedDocument::of(key, text, value);
        EXPECT_EQ(held->text(), text);
        EXPECT_EQ(held->size(), text.size());
        EXPECT_EQ(held->read(), value);
    }
    // Written in another way, and the same all the same.
    const std::string spaced = " " + process(7, "web").dump(2);
    const auto held = SharedDocument::of(web, spaced, process(7, "web"));
    EXPECT_EQ(held->text(), spaced);
    EXPECT_EQ(held->read(), process(7, "web"));
}

TEST(SharedDocument, SaysWhatAReportSays) {
    ProcessStatus status;
    status.id = 7;
    status.name = "web";
    status.state = ProcessState::Failed;
    const auto held = document(keys::status("home1", 7), status_to_json(status));
    EXPECT_EQ(*SharedDocument::status(held), status);
    EXPECT_EQ(document(keys::status("home2", 7), status_to_json(status)), held);
    EXPECT_NE(document(keys::certificate("home1", "a.example"), status_to_json(status)), held);
}

TEST(SharedDocument, StatesShareWhatTheySay) {
    FleetState registry, replica;
    for (auto* state : {&registry, &replica}) {
        state->put(keys::process("web"), process(7, "web"));
        state->put(keys::domain("a.example"),
                   {{"domain", "a.example"}, {"process", "web"}, {"mapping_id", 1}});
    }
    EXPECT_EQ(registry.process("web"), replica.process("web"));
    EXPECT_EQ(registry.domain("a.example"), replica.domain("a.example"));
    registry.erase(keys::process("web"));
    EXPECT_EQ(replica.process(7)->record.name, "web");
}

TEST(SharedDocument, ComesAndGoesOnSeveralThreads) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([] {
            for (std::uint32_t round = 0; round < 500; ++round) {
                const auto id = 1 + round % 3;
                const auto held = document(keys::process("web"), process(id, "web"));
                ASSERT_EQ(SharedDocument::process(held)->record.id, id);
            }
        });
    for (auto& thread : threads)
        thread.join();
}

} // namespace
} // namespace p2prc::state
