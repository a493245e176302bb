#include "core/spec_changes.h"

#include "core/fields.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace p2prc {
namespace {

using Json = nlohmann::json;

// Limits are set on the running unit; checks and holds are p2prcd's own. ready.notify makes another kind of
// unit.
constexpr std::array<std::string_view, 9> live_keys{"limits.",       "live.",      "update.",
                                                    "ready.http",    "ready.port", "ready.command",
                                                    "ready.timeout", "placement.", "remedy"};

ChangeEffect effect_of(std::string_view key) noexcept {
    if (key == "domain") return ChangeEffect::Route;
    const bool live = std::ranges::any_of(live_keys, [&](std::string_view known) {
        return known.ends_with('.') ? key.starts_with(known) : key == known;
    });
    return live ? ChangeEffect::Live : ChangeEffect::Restart;
}

// Nothing: it is not set.
const Json* value_at(const Json& document, std::string_view key) {
    const auto dot = key.find('.');
    const auto found = document.find(std::string(key.substr(0, dot)));
    if (found == document.end()) return nullptr;
    if (dot == std::string_view::npos) return &*found;
    const auto member = found->find(std::string(key.substr(dot + 1)));
    return member == found->end() ? nullptr : &*member;
}

std::string shown(std::string_view key, const Json& value) {
    constexpr std::size_t longest = 200;
    if (key == "run.environment") return "(not shown)";
    auto text = value.is_string() ? value.get<std::string>()
                                  : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() <= longest && text.find('\n') == std::string::npos) return text;
    return fmt::format("({} bytes)", text.size());
}

std::optional<std::string> shown(std::string_view key, const Json* value) {
    return value ? std::optional(shown(key, *value)) : std::nullopt;
}

void compare(std::vector<SpecChange>& changes, std::string_view key, std::string full, const Json* from,
             const Json* to) {
    if (from == to || (from && to && *from == *to)) return;
    changes.push_back({std::move(full), shown(key, from), shown(key, to), effect_of(key)});
}

void compare_names(std::vector<SpecChange>& changes, std::string_view key, const Json* from, const Json* to) {
    static const Json none = Json::object();
    const Json& before = from ? *from : none;
    const Json& after = to ? *to : none;
    Json names = before;
    names.update(after);
    for (const auto& [name, value] : names.items())
        compare(changes, key, fmt::format("{}.{}", key, name), value_at(before, name), value_at(after, name));
}

} // namespace

std::vector<SpecChange> spec_changes(const ProcessSpec& from, const ProcessSpec& to) {
    const auto before = spec_to_document(from);
    const auto after = spec_to_document(to);
    std::vector<SpecChange> changes;
    for (const auto& field : spec_fields()) {
        const auto* old_value = value_at(before, field.key);
        const auto* new_value = value_at(after, field.key);
        if (field.type == FieldType::StringMap)
            compare_names(changes, field.key, old_value, new_value);
        else
            compare(changes, field.key, std::string(field.key), old_value, new_value);
    }
    return changes;
}

bool restarts(std::span<const SpecChange> changes) noexcept {
    return std::ranges::any_of(changes,
                               [](const auto& change) { return change.effect == ChangeEffect::Restart; });
}

Json to_json(const SpecChange& change) {
    const auto or_null = [](const std::optional<std::string>& text) {
        return text ? Json(*text) : Json(nullptr);
    };
    return {{"key", change.key}, {"from", or_null(change.from)}, {"to", or_null(change.to)}};
}

} // namespace p2prc
