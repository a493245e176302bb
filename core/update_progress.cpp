#include "core/update_progress.h"

#include "core/json_members.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::array phases{
    std::pair{UpdatePhase::Replacing, std::string_view("replacing")},
    std::pair{UpdatePhase::Confirming, std::string_view("confirming")},
    std::pair{UpdatePhase::Good, std::string_view("good")},
    std::pair{UpdatePhase::RollingBack, std::string_view("rolling-back")},
    std::pair{UpdatePhase::RolledBack, std::string_view("rolled-back")},
    std::pair{UpdatePhase::Failed, std::string_view("failed")},
};

constexpr std::array copies{
    std::pair{DataCopy::Copied, std::string_view("copied")},
    std::pair{DataCopy::NotCopied, std::string_view("not copied")},
    std::pair{DataCopy::PutBack, std::string_view("put back")},
    std::pair{DataCopy::NotPutBack, std::string_view("not put back")},
};

std::string_view copy_name(DataCopy data) noexcept {
    for (const auto& [value, name] : copies)
        if (value == data) return name;
    return {};
}

} // namespace

std::string_view update_phase_name(UpdatePhase phase) noexcept {
    for (const auto& [value, name] : phases)
        if (value == phase) return name;
    return "failed";
}

bool is_under_way(const UpdateProgress& update) noexcept {
    return update.phase == UpdatePhase::Replacing || update.phase == UpdatePhase::Confirming ||
           update.phase == UpdatePhase::RollingBack;
}

bool went_back(const UpdateProgress& update) noexcept {
    return update.phase == UpdatePhase::RollingBack || update.phase == UpdatePhase::RolledBack ||
           update.phase == UpdatePhase::Failed;
}

Json to_json(const UpdateProgress& update) {
    Json document{{"revision", update.revision},
                  {"fallback", update.fallback},
                  {"phase", update_phase_name(update.phase)},
                  {"since", update.since},
                  {"reason", update.reason ? reason_to_json(*update.reason) : Json(nullptr)}};
    if (update.data != DataCopy::None) document["data"] = copy_name(update.data);
    if (!update.data_detail.empty()) document["data_detail"] = update.data_detail;
    return document;
}

UpdateProgress update_progress_from_json(const Json& document) {
    UpdateProgress update;
    update.revision = json::member<std::uint32_t>(document, "revision");
    update.fallback = json::member<std::uint32_t>(document, "fallback");
    update.phase = UpdatePhase::Failed;
    const auto name = json::member<std::string>(document, "phase");
    for (const auto& [value, text] : phases)
        if (text == name) update.phase = value;
    update.since = json::member<std::string>(document, "since");
    if (document.is_object() && document.contains("reason") && document["reason"].is_object())
        update.reason = reason_from_json(document["reason"]);
    const auto data = json::member<std::string>(document, "data");
    for (const auto& [value, text] : copies)
        if (text == data) update.data = value;
    update.data_detail = json::member<std::string>(document, "data_detail");
    return update;
}

std::string data_words(const UpdateProgress& update) {
    std::string words(copy_name(update.data));
    return update.data_detail.empty() ? words : fmt::format("{}: {}", words, update.data_detail);
}

StopReason update_failed(const UpdateProgress& update, const StopReason& reason) {
    auto result = reason;
    result.kind = StopKind::UpdateFailed;
    result.by.clear();
    result.step.clear();
    result.code.reset();
    result.signal.clear();
    auto what = reason;
    what.node.clear();
    what.at.clear();
    result.detail = fmt::format("revision {} was not kept: {}", update.revision, reason_text(what));
    return result;
}

} // namespace p2prc
