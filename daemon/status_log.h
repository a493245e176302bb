// Logs processes that stopped although nobody asked for it.
#pragma once

#include "state/own_state.h"

#include <string_view>

namespace p2prc::daemon {

// Entries of units/p2prc.catalog; ids made with `systemd-id128 new`, never used for anything else.
inline constexpr std::string_view message_process_stopped = "9ebeca0b69fe45aab66a9144b550418e";
inline constexpr std::string_view message_process_attention = "178ca194c637497cb6fae4f298abe189";
inline constexpr std::string_view message_bad_configuration = "105ffd38c29b48dfa69ea287d45f6eaf";

// Logs until the subscription ends. A process that failed again is told again, one that is adopted is not.
[[nodiscard]] state::Subscription log_failures(state::OwnState& own);

} // namespace p2prc::daemon
