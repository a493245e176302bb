// Any remedies, reason and history, as another machine may send them: what is decided keeps the budget, and
// is the first remedy that is about the stop.
#include "core/remedy_plan.h"
#include "tests/fuzz/require.h"

#include <nlohmann/json.hpp>

#include <algorithm>

using p2prc::fuzz::require;
using namespace p2prc;
using Json = nlohmann::json;

namespace {

template <class T, class Read>
std::vector<T> list_of(const Json& document, const char* key, Read read) {
    std::vector<T> list;
    if (const auto found = document.find(key); found != document.end() && found->is_array())
        for (const auto& row : *found)
            list.push_back(read(row));
    return list;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto document = Json::parse(data, data + size, nullptr, false);
    if (!document.is_object()) return 0;
    const auto spec = spec_from_stored(document.value("spec", Json::object()));
    if (!spec) return 0;
    require(spec->remedies.size() <= most_remedies);
    const auto reason = reason_from_json(document.value("reason", Json::object()));
    const auto progress = remedy_progress_from_json(document.value("remedy", Json::object()));
    require(remedy_progress_from_json(to_json(progress)) == progress);
    auto moves = list_of<RemedyMove>(document, "moves", remedy_move_from_json);
    const auto now = document.find("now");
    RemedySituation situation{.spec = *spec,
                              .reason = reason,
                              .done = progress.done,
                              .moves = moves,
                              .now = now != document.end() && now->is_number_integer()
                                         ? std::clamp<std::int64_t>(now->get<std::int64_t>(), 0, 1LL << 40)
                                         : 1'800'000'000,
                              .early = progress.early,
                              .updated_at = progress.free_at};
    const auto plan = plan_remedy(situation);
    require(plan.number <= spec->remedies.size());
    require((plan.number == 0) == (plan.kind == RemedyPlan::Kind::NoRemedy));
    if (plan.number != 0) {
        const auto& remedy = spec->remedies[plan.number - 1];
        require(remedy.action == plan.action && can_be_remedied(reason.kind));
        require(remedy.reason == reason.kind || remedy.reason == cause_of(reason));
    }
    require(plan.left < most_remedy_actions);
    require(plan.pause >= std::chrono::seconds(0) && plan.pause <= longest_remedy_pause);
    if (plan.kind == RemedyPlan::Kind::UsedUp) require(plan.free_at > situation.now);
    (void)next_text(progress, reason, situation.now);
    return 0;
}
