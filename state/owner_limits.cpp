#include "state/owner_limits.h"

#include "core/json_members.h"
#include "core/keys.h"
#include "state/owner_notes.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace p2prc::state {

namespace {

LimitsSpec limits_of(const Json& note) {
    LimitsSpec limits;
    limits.memory_bytes = json::optional_member<std::uint64_t>(note, "memory_bytes");
    limits.cpu_percent = json::optional_member<std::uint32_t>(note, "cpu_percent");
    limits.tasks = json::optional_member<std::uint32_t>(note, "tasks");
    return limits;
}

} // namespace

std::optional<OwnerLimits::Note> OwnerLimits::find(std::string_view node) const {
    auto note = own_.get(keys::owner_limit(node));
    if (!note) return std::nullopt;
    const auto key = json::member<std::string>(*note, former_of);
    if (key.empty()) return Note{std::string(node), std::move(note)};
    for (const auto& [path, other] : own_.range(keys::owner_limits))
        if (json::member<std::string>(*other, owner_key) == key)
            return Note{std::string(keys::last_part(path)), other};
    return std::nullopt;
}

std::optional<OwnerLimit> OwnerLimits::of(std::string_view node) const {
    const auto note = find(node);
    if (!note) return std::nullopt;
    OwnerLimit limit;
    limit.limits = limits_of(*note->value);
    if (limit.limits == LimitsSpec()) return std::nullopt;
    limit.by = json::member<std::string>(*note->value, "by");
    limit.at = json::member<std::string>(*note->value, "at");
    return limit;
}

std::vector<std::string> OwnerLimits::nodes() const {
    std::vector<std::string> names;
    for (const auto& [key, note] : own_.range(keys::owner_limits))
        if (limits_of(*note) != LimitsSpec()) names.emplace_back(keys::last_part(key));
    return names;
}

void OwnerLimits::set(std::string_view node, const OwnerLimit& limit) {
    const auto before = find(node);
    const std::string name(before ? before->name : node);
    auto key = keys::owner_limit(name);
    const auto slice = before ? json::member<std::string>(*before->value, owner_slice) : free_slice(name);
    const bool elsewhere = !slice.empty() && slice != name;
    // What runs in a slice of another name stays there.
    if (limit.limits == LimitsSpec() && !elsewhere) return own_.erase(std::move(key));
    Json note{{"schema", 1}, {"by", limit.by}, {"at", limit.at}};
    if (limit.limits.memory_bytes) note["memory_bytes"] = *limit.limits.memory_bytes;
    if (limit.limits.cpu_percent) note["cpu_percent"] = *limit.limits.cpu_percent;
    if (limit.limits.tasks) note["tasks"] = *limit.limits.tasks;
    if (elsewhere) note[owner_slice] = slice;
    if (before)
        if (const auto known = json::member<std::string>(*before->value, owner_key); !known.empty())
            note[owner_key] = known;
    own_.set(std::move(key), std::move(note));
}

bool OwnerLimits::is_slice_of_another(std::string_view slice, std::string_view name) const {
    const auto notes = own_.range(keys::owner_limits);
    return std::ranges::any_of(notes, [&](const auto& item) {
        return keys::last_part(item.first) != name &&
               json::member<std::string>(*item.second, owner_slice) == slice;
    });
}

// One of its own name may be that of a node which had this name before.
std::string OwnerLimits::free_slice(std::string_view node) const {
    std::string slice(node);
    for (unsigned number = 2; is_slice_of_another(slice, node); ++number)
        slice = fmt::format("{}:{}", number, node); // no node's name
    return slice;
}

std::string OwnerLimits::slice_name(std::string_view node) const {
    const auto note = find(node);
    if (!note) return free_slice(node);
    return json::member<std::string>(*note->value, owner_slice, note->name);
}

} // namespace p2prc::state
