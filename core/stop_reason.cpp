#include "core/stop_reason.h"

#include "core/names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::array stop_kinds{
    StopKindInfo{StopKind::Finished, "finished", "It ended by itself with exit status 0."},
    StopKindInfo{StopKind::Killed, "killed", "It was killed and its record removed; `by` says by whom."},
    StopKindInfo{StopKind::Stopped, "stopped", "It was stopped, its record stays; `by` says by whom."},
    StopKindInfo{StopKind::StoppedOutside, "stopped-outside",
                 "Its unit was stopped without p2prc (systemctl)."},
    StopKindInfo{StopKind::ExitCode, "exit-code", "It ended by itself with a non-zero exit status."},
    StopKindInfo{StopKind::Signal, "signal", "A signal ended it."},
    StopKindInfo{StopKind::CoreDump, "core-dump", "A signal ended it and it dumped core."},
    StopKindInfo{StopKind::OomKill, "oom-kill", "It was killed for want of memory."},
    StopKindInfo{StopKind::Timeout, "timeout", "A phase took too long: start, stop or runtime."},
    StopKindInfo{StopKind::Watchdog, "watchdog", "It stopped answering its watchdog."},
    StopKindInfo{StopKind::StartFailed, "start-failed",
                 "systemd could not execute it; `step` says what failed."},
    StopKindInfo{StopKind::StartLimit, "start-limit", "It failed too often in a row."},
    StopKindInfo{StopKind::DeployFailed, "deploy-failed", "Its deployment failed."},
    StopKindInfo{StopKind::Resources, "resources", "systemd lacked a resource to start it."},
    StopKindInfo{StopKind::Protocol, "protocol",
                 "It broke the service protocol, such as exiting before it was ready."},
    StopKindInfo{StopKind::NotReady, "not-ready",
                 "It was not ready in time; `step` says how it was asked, `detail` what it answered last."},
    StopKindInfo{
        StopKind::Unhealthy, "unhealthy",
        "It was ready, and failed too often in a row when it was asked; `step` and `detail` as above."},
    StopKindInfo{StopKind::Paused, "paused",
                 "The owner of its machine froze it, or stopped it for a while; `by` says who."},
    StopKindInfo{StopKind::UpdateFailed, "update-failed",
                 "An update of it was not kept; `detail` says why, and the revision before runs again."},
    StopKindInfo{StopKind::Shutdown, "shutdown", "The machine was shut down or rebooted in order."},
    StopKindInfo{StopKind::PowerLoss, "power-loss", "The machine went away without a shutdown."},
    StopKindInfo{StopKind::NodeLost, "node-lost", "Its node was lost."},
    StopKindInfo{StopKind::Moved, "moved", "It was moved to another node."},
    StopKindInfo{StopKind::Fenced, "fenced", "A newer epoch owns it."},
    StopKindInfo{StopKind::Unknown, "unknown",
                 "It stopped while p2prcd was not running, and the journal does not say why."},
};

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

std::string text_of(const Json& document, const char* key) {
    const auto it = document.find(key);
    return it != document.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

} // namespace

std::span<const StopKindInfo> stop_kind_table() noexcept {
    return stop_kinds;
}

std::string_view stop_kind_name(StopKind kind) noexcept {
    for (const auto& row : stop_kinds)
        if (row.kind == kind) return row.name;
    return "unknown";
}

bool is_tried_again(StopKind kind) noexcept {
    return kind == StopKind::StartLimit || kind == StopKind::NotReady || kind == StopKind::Unhealthy;
}

StopKind stop_kind_from_name(std::string_view name) noexcept {
    for (const auto& row : stop_kinds)
        if (row.name == name) return row.kind;
    return StopKind::Unknown;
}

Json reason_to_json(const StopReason& reason) {
    Json document{{"kind", stop_kind_name(reason.kind)},
                  {"code", reason.code ? Json(*reason.code) : Json(nullptr)},
                  {"signal", text_or_null(reason.signal)},
                  {"step", text_or_null(reason.step)},
                  {"cause", reason.cause ? Json(stop_kind_name(*reason.cause)) : Json(nullptr)},
                  {"by", text_or_null(reason.by)},
                  {"node", text_or_null(reason.node)},
                  {"epoch", reason.epoch},
                  {"detail", text_or_null(reason.detail)},
                  {"log", reason.log},
                  {"at", text_or_null(reason.at)}};
    if (!reason.owner.empty()) document["owner"] = reason.owner;
    return document;
}

StopReason reason_from_json(const Json& document) {
    StopReason reason;
    if (!document.is_object()) return reason;
    reason.kind = stop_kind_from_name(text_of(document, "kind"));
    if (const auto it = document.find("code"); it != document.end() && it->is_number_integer())
        reason.code = it->get<int>();
    reason.signal = text_of(document, "signal");
    reason.step = text_of(document, "step");
    if (const auto cause = text_of(document, "cause"); !cause.empty())
        reason.cause = stop_kind_from_name(cause);
    reason.by = text_of(document, "by");
    reason.owner = text_of(document, "owner");
    reason.node = text_of(document, "node");
    if (const auto it = document.find("epoch"); it != document.end() && it->is_number_unsigned())
        reason.epoch = it->get<std::uint64_t>();
    reason.detail = text_of(document, "detail");
    if (const auto it = document.find("log"); it != document.end() && it->is_array())
        for (const auto& line : *it)
            if (line.is_string()) reason.log.push_back(line.get<std::string>());
    reason.at = text_of(document, "at");
    return reason;
}

std::string reason_text(const StopReason& reason) {
    std::string text(stop_kind_name(reason.kind));
    if (reason.code) text += " " + std::to_string(*reason.code);
    if (!reason.signal.empty()) text += " " + reason.signal;
    if (!reason.step.empty()) text += " at " + reason.step;
    if (!reason.by.empty()) text += " by " + reason.by;
    if (!reason.detail.empty()) text += ": " + reason.detail;
    std::string where = reason.node.empty() ? "" : "on " + reason.node;
    // With a detail, the time of a power loss is that of the last sign of life; without, that of the next
    // boot.
    const bool went_off = reason.kind == StopKind::PowerLoss;
    const std::string_view when = !went_off ? "" : reason.detail.empty() ? "before " : "after ";
    if (!reason.at.empty()) where += fmt::format("{}{}{}", where.empty() ? "" : ", ", when, reason.at);
    return where.empty() ? text : text + " (" + where + ")";
}

std::string logs_command(std::string_view process, const StopReason& reason) {
    return fmt::format("p2prc logs {}{}", process, reason.kind == StopKind::DeployFailed ? " --deploy" : "");
}

// The reason may be another node's word.
std::string resume_command(std::string_view process, const StopReason& reason) {
    if (check_node_name(reason.owner)) return fmt::format("p2prc resume --owner {}", reason.owner);
    return fmt::format("p2prc resume {}", process);
}

} // namespace p2prc
