// The versions of a process's specification: each has a number, which only rises, who made it, and what came
// of it.
#pragma once

#include "core/boxed.h"
#include "core/process_spec.h"
#include "core/stop_reason.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

struct ProcessRecord;

enum class Outcome {
    Pending,    // it has not run for long enough yet
    Good,       // it was ready, and stayed up
    RolledBack, // it was not, and the one before runs again
    Failed,     // it was not, and neither was the one before
    Superseded, // another one came before anything was known of it
};
std::string_view outcome_name(Outcome outcome) noexcept;
Outcome outcome_from_name(std::string_view name) noexcept; // Superseded for an unknown name

struct Revision {
    std::uint32_t number = 0;
    ProcessSpec spec;
    std::string digest;
    std::optional<std::uint16_t> port; // bound
    std::uint32_t deployment = 0;      // the revision that had its deployer run anew; 0: none had
    std::string by;                    // "user@node"
    std::string at;                    // RFC 3339
    Outcome outcome = Outcome::Pending;
    Boxed<StopReason> reason;      // why it was not kept
    std::uint32_t rollback_of = 0; // the revision that it is again; 0: none
    std::string data = {};         // what its update did with the data, as data_words() says; empty: nothing
};

// Nobody has counted higher.
inline constexpr std::uint32_t largest_revision = 1u << 30;

// So many are kept beside the present one, as long as their texts are not longer than this. The last good one
// is kept whatever its length.
inline constexpr std::size_t most_former_revisions = 9;
inline constexpr std::size_t longest_former_revisions = 64 * 1024;

nlohmann::json to_json(const Revision& revision);
// Tolerant, but for a specification that cannot be read: that is an error.
Result<Revision> revision_from_json(const nlohmann::json& document);

// The present revision of a process, as the others are.
Revision present_revision(const ProcessRecord& process);
// The highest number that was given to one of the process.
std::uint32_t last_revision(const ProcessRecord& process) noexcept;
// One of the former ones; nullptr: it is not kept, or is the present one.
const Revision* former_revision(const ProcessRecord& process, std::uint32_t number) noexcept;
// The last former one that was good; nullptr: there is none.
const Revision* last_good_revision(const ProcessRecord& process) noexcept;

// The port that a revision of the process has, or had; the present one's where it is not kept.
std::optional<std::uint16_t> bound_port(const ProcessRecord& process, std::uint32_t revision) noexcept;

// What an update of the process that is not known to be good goes back to; nullptr: there is none, or nothing
// is being judged.
const Revision* fallback_revision(const ProcessRecord& process) noexcept;

// Leaves as many in the list as are kept, by number.
void forget_oldest_revisions(std::vector<Revision>& former);

// Makes `next` the present one, and the present one a former one with this outcome. Another one of its number
// among the former ones makes way. The oldest are forgotten.
void replace_revision(ProcessRecord& process, Revision next, Outcome outcome, Boxed<StopReason> reason = {});
// Lets the process be what the revision says, as one that looks at it: nothing is kept of the present one.
void apply_revision(ProcessRecord& process, const Revision& revision);

} // namespace p2prc
