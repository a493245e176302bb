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

// Nothing: it is not set.
using Shown = std::optional<std::string>;

Shown text_of(const Json* value) {
    if (!value) return std::nullopt;
    if (value->is_string()) return value->get<std::string>();
    return value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of two long texts, such as scripts, the part where they begin to differ.
void shorten(Shown& one, Shown& other) {
    constexpr std::size_t longest = 120, before = 20;
    const auto fits = [](const Shown& text) { return !text || text->size() <= longest; };
    if (fits(one) && fits(other)) return;
    constexpr std::string_view nothing;
    const auto a = one ? std::string_view(*one) : nothing, b = other ? std::string_view(*other) : nothing;
    const auto differ = std::ranges::mismatch(a, b).in1 - a.begin();
    const auto begin = static_cast<std::size_t>(std::max<std::ptrdiff_t>(differ - before, 0));
    for (auto* text : {&one, &other})
        if (*text)
            *text = fmt::format("{}{}{}", begin == 0 ? "" : "...",
                                (*text)->substr(std::min(begin, (*text)->size()), longest),
                                (*text)->size() > begin + longest ? "..." : "");
}

void compare(std::vector<SpecChange>& changes, std::string_view key, std::string full, const Json* from,
             const Json* to) {
    if (from == to || (from && to && *from == *to)) return;
    auto before = text_of(from), after = text_of(to);
    if (key == "run.environment")
        for (auto* text : {&before, &after})
            if (*text) *text = "(not shown)";
    shorten(before, after);
    changes.push_back({std::move(full), std::move(before), std::move(after), effect_of(key)});
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
