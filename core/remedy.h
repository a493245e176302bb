// Remedies: the rules of a process file that say what to do about a kind of stop.
#pragma once

#include "core/stop_reason.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

enum class RemedyAction {
    Restart,  // start it again
    Redeploy, // remove what its deployer made, deploy again, then start it
    Move,     // run it on another node
    Rollback, // run the last good revision
    Notify,   // tell the people of its node
    None,     // leave it as it is
};
std::string_view remedy_action_name(RemedyAction action) noexcept;
std::optional<RemedyAction> remedy_action_from_name(std::string_view name) noexcept;
// In the order of the documentation.
std::vector<std::string_view> remedy_action_names();

struct Remedy {
    StopKind reason = StopKind::Unknown;
    std::string step;        // empty: any
    std::optional<int> code; // nothing: any
    RemedyAction action = RemedyAction::None;
    friend bool operator==(const Remedy&, const Remedy&) = default;
};
inline constexpr std::size_t most_remedies = 16;
inline constexpr std::size_t longest_remedy_step = 64;

// Whether a process that stopped for this is `failed`, and nobody asked for that stop.
bool can_be_remedied(StopKind kind) noexcept;
// The names of those kinds.
std::vector<std::string_view> remedied_kind_names();

// What a stop was about: of a process that failed too often in a row, how it ended the last time.
StopKind cause_of(const StopReason& reason) noexcept;

// The number of the first that is about the reason, from 1; 0: none is.
std::uint32_t matching_remedy(std::span<const Remedy> remedies, const StopReason& reason) noexcept;

} // namespace p2prc
