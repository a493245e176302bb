#include "cli/last_stop.h"

#include "cli/output.h"
#include "core/stop_reason.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

// What happened to a process after its node was lost is known there alone; `reported` is of before.
bool is_lost(const Json& process) {
    return cell(process, "state") == "lost";
}

} // namespace

std::string last_stop_kind(const Json& process) {
    auto reported = cell(process.value("reason", Json::object()), "kind");
    if (!is_lost(process)) return reported;
    return reported == "-" ? "not known" : "not known; before: " + reported;
}

std::string last_stop_text(const Json& process) {
    const auto reason = process.value("reason", Json::object());
    const auto reported = reason.is_object() && !reason.empty() ? reason_text(reason_from_json(reason)) : "";
    if (!is_lost(process)) return reported.empty() ? "-" : reported;
    return fmt::format("not known: node '{}' does not answer{}{}", cell(process, "node"),
                       reported.empty() ? "" : "; before that: ", reported);
}

} // namespace p2prc::cli
