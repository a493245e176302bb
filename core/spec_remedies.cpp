#include "core/fields.h"
#include "core/names.h"
#include "core/spec_bindings.h"
#include "core/spec_hints.h"
#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

namespace p2prc {
namespace {

Json get_remedies(const ProcessSpec& spec) {
    if (spec.remedies.empty()) return nullptr;
    auto list = Json::array();
    for (const auto& remedy : spec.remedies) {
        Json row{{"reason", stop_kind_name(remedy.reason)}, {"action", remedy_action_name(remedy.action)}};
        if (!remedy.step.empty()) row["step"] = remedy.step;
        if (remedy.code) row["code"] = *remedy.code;
        list.push_back(std::move(row));
    }
    return list;
}

// Why a key of a remedy is refused; an empty `why`: it is not.
struct RemedyRefusal {
    std::string_view key = {};
    std::string why = {}, hint = {};
};

std::string hint_of_words(std::string_view word, std::span<const std::string_view> known) {
    const auto near = nearest(word, known);
    return near.empty() ? fmt::format("one of {}", fmt::join(known, ", "))
                        : fmt::format("did you mean '{}'?", near);
}

// Of a table whose members have the right types.
RemedyRefusal set_remedy(Remedy& remedy, const Json& row) {
    for (const auto* key : {"reason", "action"})
        if (!row.contains(key))
            return {key, "is missing", "a remedy says what it is about and what is done about it"};
    const auto reason = row["reason"].get<std::string>();
    const auto kinds = stop_kind_table();
    const auto kind = std::ranges::find(kinds, reason, &StopKindInfo::name);
    if (kind == kinds.end())
        return {"reason", fmt::format("'{}' is no reason of a stop", text::excerpt(reason)),
                hint_of_words(reason, remedied_kind_names())};
    if (!can_be_remedied(kind->kind))
        return {"reason", fmt::format("nothing is done about '{}': a remedy is for what has failed", reason),
                fmt::format("one of {}", fmt::join(remedied_kind_names(), ", "))};
    remedy.reason = kind->kind;
    const auto word = row["action"].get<std::string>();
    const auto action = remedy_action_from_name(word);
    if (!action)
        return {"action", fmt::format("'{}' is no action", text::excerpt(word)),
                hint_of_words(word, remedy_action_names())};
    remedy.action = *action;
    if (const auto step = row.find("step"); step != row.end()) {
        remedy.step = step->get<std::string>();
        if (remedy.step.empty() || remedy.step.size() > longest_remedy_step ||
            text::has_controls(remedy.step))
            return {"step", "is not the step of a reason", "p2prc info shows it behind 'at'"};
    }
    if (const auto code = row.find("code"); code != row.end()) {
        const auto number = code->get<std::int64_t>();
        if (number < 0 || number > 255) return {"code", "must be between 0 and 255"};
        remedy.code = static_cast<int>(number);
    }
    return {};
}

Result<Remedy> read_remedy(const Json& row, const std::string& path, const Locate& locate, bool strict) {
    std::vector<std::string_view> known;
    for (const auto& field : remedy_fields())
        known.push_back(field.key);
    if (strict)
        if (auto checked = check_known_keys(row, path, known, locate); !checked)
            return std::unexpected(checked.error());
    for (const auto& field : remedy_fields()) {
        const auto value = row.find(std::string(field.key));
        if (value == row.end()) continue;
        const auto full = fmt::format("{}.{}", path, field.key);
        if (auto checked = check_type(*value, field.type, full, locate); !checked) {
            checked.error().hint = type_hint(field, *value);
            return std::unexpected(checked.error());
        }
    }
    Remedy remedy;
    if (auto refusal = set_remedy(remedy, row); !refusal.why.empty())
        return std::unexpected(
            bad_key(locate, fmt::format("{}.{}", path, refusal.key), refusal.why, std::move(refusal.hint)));
    return remedy;
}

constexpr std::array remedy_keys{
    Binding{"remedy", nullptr, get_remedies},
};

} // namespace

std::span<const Binding> remedy_bindings() noexcept {
    return remedy_keys;
}

Result<void> read_remedies(std::vector<Remedy>& into, std::string_view key, const Json& list,
                           const Locate& locate, bool strict) {
    if (strict && list.size() > most_remedies)
        return std::unexpected(bad_key(locate, key, fmt::format("has more than {} remedies", most_remedies)));
    for (std::size_t index = 0; index < list.size() && index < most_remedies; ++index) {
        auto remedy = read_remedy(list[index], fmt::format("{}[{}]", key, index), locate, strict);
        if (remedy)
            into.push_back(std::move(*remedy));
        else if (strict)
            return std::unexpected(remedy.error());
        // Of what is stored, one that a later version has made is none here.
    }
    return {};
}

Result<void> check_remedies(const ProcessSpec& spec, const Locate& locate) {
    for (std::size_t index = 0; index < spec.remedies.size(); ++index)
        if (spec.remedies[index].action == RemedyAction::Redeploy && spec.deploy.strategy.empty())
            return std::unexpected(bad_key(locate, fmt::format("remedy[{}].action", index),
                                           "nothing is deployed for this process",
                                           "add [deploy], or choose another action"));
    return {};
}

} // namespace p2prc
