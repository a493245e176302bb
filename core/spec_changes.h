// What differs between two specifications of a process, and what a change of each key costs.
#pragma once

#include "core/process_spec.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace p2prc {

enum class ChangeEffect {
    Live,    // applied to what runs, or only counts from its next start or check on
    Route,   // clients are led elsewhere, and it runs on
    Restart, // it is stopped and started again
};

struct SpecChange {
    std::string key;                 // "limits.memory", "run.environment.TZ"
    std::optional<std::string> from; // nothing: it was not set
    std::optional<std::string> to;   // nothing: it is not set any more
    ChangeEffect effect = ChangeEffect::Restart;
};

// In the order of the keys in a process file. Values of the environment are not shown: some people put
// secrets there.
std::vector<SpecChange> spec_changes(const ProcessSpec& from, const ProcessSpec& to);
bool restarts(std::span<const SpecChange> changes) noexcept;

nlohmann::json to_json(const SpecChange& change); // key, from, to; absent ones are null

} // namespace p2prc
