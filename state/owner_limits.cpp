#include "state/owner_limits.h"

#include "core/json_members.h"
#include "core/keys.h"
#include "state/owner_notes.h"

#include <nlohmann/json.hpp>

namespace p2prc::state {

std::optional<OwnerLimit> OwnerLimits::of(std::string_view node) const {
    const auto note = own_.get(keys::owner_limit(node));
    if (!note) return std::nullopt;
    OwnerLimit limit;
    limit.limits.memory_bytes = json::optional_member<std::uint64_t>(*note, "memory_bytes");
    limit.limits.cpu_percent = json::optional_member<std::uint32_t>(*note, "cpu_percent");
    limit.limits.tasks = json::optional_member<std::uint32_t>(*note, "tasks");
    limit.by = json::member<std::string>(*note, "by");
    limit.at = json::member<std::string>(*note, "at");
    return limit;
}

std::vector<std::string> OwnerLimits::nodes() const {
    std::vector<std::string> names;
    for (const auto& [key, note] : own_.range(keys::owner_limits))
        names.emplace_back(keys::last_part(key));
    return names;
}

void OwnerLimits::set(std::string_view node, const OwnerLimit& limit) {
    auto key = keys::owner_limit(node);
    if (limit.limits == LimitsSpec()) return own_.erase(std::move(key));
    Json note{{"schema", 1}, {"by", limit.by}, {"at", limit.at}};
    if (limit.limits.memory_bytes) note["memory_bytes"] = *limit.limits.memory_bytes;
    if (limit.limits.cpu_percent) note["cpu_percent"] = *limit.limits.cpu_percent;
    if (limit.limits.tasks) note["tasks"] = *limit.limits.tasks;
    if (const auto before = own_.get(key))
        if (const auto known = json::member<std::string>(*before, owner_key); !known.empty())
            note[owner_key] = known;
    own_.set(std::move(key), std::move(note));
}

} // namespace p2prc::state
