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
