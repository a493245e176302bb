#include "core/remedy_progress.h"

#include "core/duration.h"
#include "core/json_members.h"

#include <fmt/format.h>

namespace p2prc {
namespace {

using Json = nlohmann::json;

// As many as a node of this version keeps, and some more.
constexpr std::size_t most_done = 32;

RemedyAction action_of(const Json& document) {
    return remedy_action_from_name(json::member<std::string>(document, "action"))
        .value_or(RemedyAction::None);
}

std::string in_words(std::int64_t at, std::int64_t now) {
    // Not by the difference of what may be any number: a node says when.
    return duration_text(at > now ? static_cast<std::uint64_t>(at - now) : 1);
}

std::string_view words_of(RemedyAction action) noexcept {
    return action == RemedyAction::Move ? "move to another node" : remedy_action_name(action);
}

std::string left_text(const RemedyPlanned& planned, std::size_t most, std::string_view what) {
    return fmt::format("{} of {} {}", planned.left, most, what);
}

} // namespace

Json to_json(const RemedyProgress& progress) {
    Json document{{"decided", progress.decided}};
    for (const auto& done : progress.done)
        document["done"].push_back({{"action", remedy_action_name(done.action)}, {"at", done.at}});
    if (progress.planned)
        document["planned"] = {{"action", remedy_action_name(progress.planned->action)},
                               {"number", progress.planned->number},
                               {"at", progress.planned->at},
                               {"left", progress.planned->left}};
    if (!progress.held.empty()) document["held"] = progress.held;
    if (progress.free_at != 0) document["free_at"] = progress.free_at;
    if (progress.told_at != 0) document["told_at"] = progress.told_at;
    if (!progress.telling.empty()) document["telling"] = progress.telling;
    if (progress.retry_at != 0) document["retry_at"] = progress.retry_at;
    if (progress.early) document["early"] = true;
    return document;
}

RemedyProgress remedy_progress_from_json(const Json& document) {
    using json::member;
    RemedyProgress progress;
    if (!document.is_object()) return progress;
    progress.decided = member<bool>(document, "decided");
    if (const auto list = document.find("done"); list != document.end() && list->is_array())
        for (const auto& row : *list)
            if (progress.done.size() < most_done)
                progress.done.push_back({action_of(row), member<std::int64_t>(row, "at")});
    if (const auto row = document.find("planned"); row != document.end() && row->is_object())
        progress.planned =
            RemedyPlanned{action_of(*row), member<std::uint32_t>(*row, "number"),
                          member<std::int64_t>(*row, "at"), member<std::uint32_t>(*row, "left")};
    progress.held = member<std::string>(document, "held");
    progress.free_at = member<std::int64_t>(document, "free_at");
    progress.told_at = member<std::int64_t>(document, "told_at");
    progress.telling = member<std::string>(document, "telling");
    progress.retry_at = member<std::int64_t>(document, "retry_at");
    progress.early = member<bool>(document, "early");
    return progress;
}

void begin_run(RemedyProgress& progress) {
    RemedyProgress next;
    next.done = std::move(progress.done);
    next.told_at = progress.told_at;
    next.telling = std::move(progress.telling);
    progress = std::move(next);
}

std::string next_text(const RemedyProgress& progress, const StopReason& reason, std::int64_t now) {
    std::string text;
    if (progress.planned && progress.planned->action != RemedyAction::None) {
        const auto& planned = *progress.planned;
        const bool moves = planned.action == RemedyAction::Move;
        text = fmt::format("{}{} (remedy {}: {}), {} left {}", words_of(planned.action),
                           moves ? std::string() : " in " + in_words(planned.at, now), planned.number,
                           stop_kind_name(cause_of(reason)),
                           moves ? left_text(planned, most_remedy_moves, "moves")
                                 : left_text(planned, most_remedy_actions, "actions"),
                           moves ? "today" : "this hour");
    }
    if (!progress.held.empty()) text += fmt::format("{}{}", text.empty() ? "" : "; ", progress.held);
    if (progress.retry_at != 0)
        text += fmt::format("{}another attempt in {}", text.empty() ? "" : "; ",
                            in_words(progress.retry_at, now));
    return text;
}

Json to_json(const RemedyMove& move) {
    Json document{{"at", move.at}, {"from", move.from}, {"cause", stop_kind_name(move.cause)}};
    if (move.early) document["early"] = true;
    return document;
}

RemedyMove remedy_move_from_json(const Json& document) {
    RemedyMove move;
    move.at = json::member<std::int64_t>(document, "at");
    move.from = json::member<std::string>(document, "from");
    move.cause = stop_kind_from_name(json::member<std::string>(document, "cause"));
    move.early = json::member<bool>(document, "early");
    return move;
}

} // namespace p2prc
