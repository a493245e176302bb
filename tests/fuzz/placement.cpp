// Any process and any nodes with any reports, as other machines may send them: what is decided is bounded,
// says for each node what is in the way and what to do, and does not depend on the order in which nodes are
// given.
#include "registry/placement.h"

#include "core/gate.h"
#include "core/keys.h"
#include "tests/fuzz/require.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <deque>

using p2prc::fuzz::require;
using namespace p2prc;
using namespace p2prc::registry;

namespace {

constexpr std::size_t most_nodes = 64;
constexpr std::size_t longest_text = 4096;

std::string string_of(const Json& document, const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_true(const Json& document, const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_boolean() && found->get<bool>();
}

// The nodes that a registry would have: each name once, at most one that asks and one that has it.
std::vector<Candidate> candidates_of(const Json& document, std::deque<Json>& infos) {
    std::vector<Candidate> candidates;
    const auto nodes = document.find("nodes");
    if (nodes == document.end() || !nodes->is_array()) return candidates;
    bool asked = false, held = false;
    for (const auto& row : *nodes) {
        if (candidates.size() >= most_nodes || !row.is_object()) break;
        const auto document = row.value("record", Json());
        if (!document.is_object()) continue;
        const auto record = accept_node(keys::node(string_of(document, "name")), document);
        if (!record) continue;
        const auto same = [&](const Candidate& other) { return other.record.name == record->name; };
        if (std::ranges::any_of(candidates, same)) continue;
        Candidate candidate{
            .record = *record, .live = string_of(row, "live"), .since = string_of(row, "since")};
        if (const auto info = row.find("info"); info != row.end()) {
            infos.push_back(*info);
            candidate.info = &infos.back();
        }
        if (const auto promised = row.find("promised");
            promised != row.end() && promised->is_number_unsigned())
            candidate.promised_bytes = promised->get<std::uint64_t>();
        candidate.asks = !asked && is_true(row, "asks");
        candidate.has_it = !held && is_true(row, "has_it");
        candidate.has_deployed = is_true(row, "has_deployed");
        asked = asked || candidate.asks;
        held = held || candidate.has_it;
        candidates.push_back(std::move(candidate));
    }
    return candidates;
}

void check_row(const PlacementRow& row) {
    require(row.fits == row.obstacles.empty());
    require(row.score >= 0 && row.score <= 1);
    for (const auto& obstacle : row.obstacles) {
        require(!obstacle.code.empty() && !obstacle.text.empty() && !obstacle.fix.empty());
        require(obstacle.text.size() <= longest_text && obstacle.fix.size() <= longest_text);
        require(std::ranges::none_of(obstacle.text,
                                     [](char letter) { return letter == '\x1b' || letter == '\0'; }));
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto document = Json::parse(data, data + size, nullptr, false);
    if (!document.is_object()) return 0;
    const auto spec = spec_from_stored(document.value("spec", Json::object()));
    if (!spec) return 0;
    std::deque<Json> infos;
    auto candidates = candidates_of(document, infos);
    const auto wanted = string_of(document, "wanted");

    const auto rows = place(*spec, candidates, wanted);
    require(rows.size() <= candidates.size() + spec->placement.nodes.size());
    require(std::ranges::is_sorted(rows, {}, &PlacementRow::node));
    require(std::ranges::count_if(rows, &PlacementRow::chosen) <= 1);
    std::ranges::for_each(rows, check_row);

    const auto holder = std::ranges::find_if(candidates, &Candidate::has_it);
    const auto chosen = chosen_node(*spec, rows, wanted);
    if (holder != candidates.end()) require(chosen && *chosen == holder->record.name);
    if (chosen) {
        const auto row = std::ranges::find(rows, *chosen, &PlacementRow::node);
        require(row != rows.end() && row->chosen && (row->fits || holder != candidates.end()));
    } else {
        require(!chosen.error().message.empty() && !chosen.error().hint.empty());
    }

    const auto told = rows_to_json(rows).dump();
    std::ranges::reverse(candidates);
    require(rows_to_json(place(*spec, candidates, wanted)).dump() == told);
    return 0;
}
