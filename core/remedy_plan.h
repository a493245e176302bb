// Decides what a process's remedies do about its last stop: a function of its file, the stop, what was done
// before and what is possible.
//
// Pure: the node that has the process decides by it, and the registry checks a move by it. systemd's own
// restarts come first: it is asked only about a process that is `failed`.
#pragma once

#include "core/process_spec.h"
#include "core/remedy_progress.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace p2prc {

inline constexpr std::chrono::seconds remedy_hour{3600};
inline constexpr std::chrono::seconds remedy_day{24 * 3600};
// The pause before the first restart of an hour, and the longest; in between each is twice as long.
inline constexpr std::chrono::seconds first_remedy_pause{1};
inline constexpr std::chrono::seconds longest_remedy_pause{300};
// How long after it was found good a revision is taken back.
inline constexpr std::chrono::seconds rollback_time{600};
// What ends before this on two nodes would end on any.
inline constexpr std::chrono::seconds early_end{10};

struct RemedySituation {
    const ProcessSpec& spec;
    const StopReason& reason;
    std::span<const RemedyDone> done;  // on this node
    std::span<const RemedyMove> moves; // in its record
    std::int64_t now = 0;              // Unix seconds
    bool early = false;                // the run had lasted for less than `early_end`
    // The revision before the present one that was good, and when the present one was found good; nothing:
    // it was not an update, or there is none before it.
    std::optional<std::int64_t> updated_at = {};
};

struct RemedyPlan {
    enum class Kind {
        NoRemedy, // none is about it
        Act,      // `action`, after `pause`
        UsedUp,   // not before `free_at`
        Refused,  // it would be of no use, or is not possible; `why`
    };
    Kind kind = Kind::NoRemedy;
    std::uint32_t number = 0; // of the remedy, from 1
    RemedyAction action = RemedyAction::None;
    std::chrono::seconds pause{0};
    std::uint32_t left = 0; // as in RemedyPlanned
    std::int64_t free_at = 0;
    std::string why;
};

RemedyPlan plan_remedy(const RemedySituation& now);

// Without those that no decision depends on any more. What is said to be done minutes after now was written
// before the clock was set back, and does not count.
void forget_old(std::vector<RemedyDone>& done, std::int64_t now);
void forget_old(std::vector<RemedyMove>& moves, std::int64_t now);

} // namespace p2prc
