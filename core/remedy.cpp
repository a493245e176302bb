#include "core/remedy.h"

#include <array>
#include <utility>

namespace p2prc {
namespace {

constexpr std::array actions{
    std::pair{RemedyAction::Restart, std::string_view("restart")},
    std::pair{RemedyAction::Redeploy, std::string_view("redeploy")},
    std::pair{RemedyAction::Move, std::string_view("move")},
    std::pair{RemedyAction::Rollback, std::string_view("rollback")},
    std::pair{RemedyAction::Notify, std::string_view("notify")},
    std::pair{RemedyAction::None, std::string_view("none")},
};

bool is_about(const Remedy& remedy, const StopReason& reason) noexcept {
    if (remedy.reason != reason.kind && remedy.reason != cause_of(reason)) return false;
    if (!remedy.step.empty() && remedy.step != reason.step) return false;
    return !remedy.code || remedy.code == reason.code;
}

} // namespace

std::string_view remedy_action_name(RemedyAction action) noexcept {
    for (const auto& [value, name] : actions)
        if (value == action) return name;
    return "none";
}

std::optional<RemedyAction> remedy_action_from_name(std::string_view name) noexcept {
    for (const auto& [value, text] : actions)
        if (text == name) return value;
    return std::nullopt;
}

std::vector<std::string_view> remedy_action_names() {
    std::vector<std::string_view> names;
    for (const auto& [value, name] : actions)
        names.push_back(name);
    return names;
}

bool can_be_remedied(StopKind kind) noexcept {
    switch (kind) {
    case StopKind::ExitCode:
    case StopKind::Signal:
    case StopKind::CoreDump:
    case StopKind::OomKill:
    case StopKind::Timeout:
    case StopKind::Watchdog:
    case StopKind::StartFailed:
    case StopKind::StartLimit:
    case StopKind::DeployFailed:
    case StopKind::Resources:
    case StopKind::Protocol:
    case StopKind::NotReady:
    case StopKind::Unhealthy:
        return true;
    case StopKind::Finished:
    case StopKind::Killed:
    case StopKind::Stopped:
    case StopKind::StoppedOutside:
    case StopKind::UpdateFailed: // the revision before runs again; how that one ends has a reason of its own
    case StopKind::Shutdown:     // the next boot starts it, as it does after a loss of power
    case StopKind::PowerLoss:
    case StopKind::NodeLost:
    case StopKind::Moved:
    case StopKind::Fenced:
    case StopKind::Paused:
    case StopKind::Unknown:
        break;
    }
    return false;
}

std::vector<std::string_view> remedied_kind_names() {
    std::vector<std::string_view> names;
    for (const auto& row : stop_kind_table())
        if (can_be_remedied(row.kind)) names.push_back(row.name);
    return names;
}

StopKind cause_of(const StopReason& reason) noexcept {
    return reason.kind == StopKind::StartLimit ? reason.cause.value_or(reason.kind) : reason.kind;
}

std::uint32_t matching_remedy(std::span<const Remedy> remedies, const StopReason& reason) noexcept {
    if (!can_be_remedied(reason.kind)) return 0;
    std::uint32_t number = 0;
    for (const auto& remedy : remedies) {
        ++number;
        if (is_about(remedy, reason)) return number;
    }
    return 0;
}

} // namespace p2prc
