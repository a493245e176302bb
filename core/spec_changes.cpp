#include "core/spec_changes.h"

#include "core/counted.h"
#include "core/encoding.h"
#include "core/fields.h"
#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

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

constexpr std::size_t longest_shown = 120; // of one line
constexpr std::size_t most_lines = 10;

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        lines.push_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    lines.push_back(text);
    return lines;
}

// Whether a terminal shows it as it is.
bool is_shown_whole(const Shown& text) {
    return !text || text::for_terminal(*text, text::Lines::Keep) == *text;
}

void show_sizes(Shown& one, Shown& other) {
    constexpr std::size_t digits = 12;
    for (auto* text : {&one, &other})
        if (*text)
            *text = fmt::format("({}, SHA-256 {}...)", counted((*text)->size(), "byte", "bytes"),
                                to_hex(sha256(as_bytes(**text))).substr(0, digits));
}

// Of two long lines, the part where they begin to differ.
void shorten_lines(std::string& one, std::string& other) {
    constexpr std::size_t before = 20;
    if (one.size() <= longest_shown && other.size() <= longest_shown) return;
    const auto differ = static_cast<std::size_t>(std::ranges::mismatch(one, other).in1 - one.begin());
    auto begin = differ > before ? differ - before : 0;
    // Not within a character: what is before it is the same in both.
    while (begin > 0 && (static_cast<unsigned char>(one[begin]) & 0xc0U) == 0x80U)
        --begin;
    for (auto* line : {&one, &other}) {
        const auto rest = std::string_view(*line).substr(std::min(begin, line->size()));
        const auto part = text::cut(rest, longest_shown);
        *line = fmt::format("{}{}{}", begin == 0 ? "" : "...", part, part.size() < rest.size() ? "..." : "");
    }
}

std::string joined(std::vector<std::string> shown, std::size_t all) {
    if (all > shown.size())
        shown.push_back(fmt::format("... ({})", counted(all - shown.size(), "more line", "more lines")));
    return fmt::format("{}", fmt::join(shown, "\n"));
}

// Of two texts, such as scripts, the lines between the first and the last that differ.
void shorten(Shown& one, Shown& other) {
    if (!is_shown_whole(one) || !is_shown_whole(other)) return show_sizes(one, other);
    auto before = lines_of(one ? std::string_view(*one) : std::string_view());
    auto after = lines_of(other ? std::string_view(*other) : std::string_view());
    const auto differ = std::ranges::mismatch(before, after);
    before.erase(before.begin(), differ.in1);
    after.erase(after.begin(), differ.in2);
    while (!before.empty() && !after.empty() && before.back() == after.back()) {
        before.pop_back();
        after.pop_back();
    }
    std::vector<std::string> from, to;
    const auto rows = std::min(std::max(before.size(), after.size()), most_lines);
    for (std::size_t row = 0; row < rows; ++row) {
        std::string old_line(row < before.size() ? before[row] : ""),
            new_line(row < after.size() ? after[row] : "");
        shorten_lines(old_line, new_line);
        if (row < before.size()) from.push_back(std::move(old_line));
        if (row < after.size()) to.push_back(std::move(new_line));
    }
    const auto old_text = joined(std::move(from), before.size()),
               new_text = joined(std::move(to), after.size());
    // An empty line at the end, perhaps.
    if (one && other && old_text == new_text) return show_sizes(one, other);
    if (one) one = old_text;
    if (other) other = new_text;
}

void compare(std::vector<SpecChange>& changes, std::string_view key, std::string full, const Json* from,
             const Json* to) {
    if (from == to || (from && to && *from == *to)) return;
    auto before = text_of(from), after = text_of(to);
    if (key == "run.environment") {
        for (auto* text : {&before, &after})
            if (*text) *text = "(not shown)";
    } else {
        shorten(before, after);
    }
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
