#include "registry/owned_keys.h"

#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"

#include <fmt/format.h>

namespace p2prc::registry::rules {
namespace {

using keys::Family;
using keys::Kind;

bool is_stored(const Family& family) {
    return family.kind == Kind::Agreed || family.kind == Kind::Registry || family.kind == Kind::Owned;
}

// Keys of the family that belong to the node, by the key or else by the value.
std::vector<std::string> keys_of(const Draft& draft, const Family& family, std::string_view node) {
    std::vector<std::string> found;
    if (family.node & keys::node_in_key) {
        const auto prefix = keys::of_node(family, node);
        for (auto& key : draft.keys_below(prefix))
            if (family.part_count() > 1 || key == prefix) found.push_back(std::move(key));
    } else if (family.node & keys::node_in_value) {
        for (const auto& [key, document] : draft.range(family.prefix))
            if (json::member<std::string>(*document, "node") == node) found.push_back(key);
    }
    return found;
}

std::unexpected<Error> wrong_form(std::string_view key, std::string_view what) {
    return fail(ErrorCode::InvalidSpec,
                fmt::format("key '{}' does not end with {}", text::excerpt(key), what));
}

} // namespace

Result<keys::Key> check_owned(std::string_view key, std::string_view node) {
    const auto* family = keys::family_of(key);
    const bool uploaded = family && family->is_uploaded();
    const auto mine = uploaded ? keys::of_node(*family, node) : std::string();
    if (!uploaded || (family->part_count() > 1 ? !key.starts_with(mine) : key != mine))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("key '{}' is not owned by node '{}'", text::excerpt(key), node));
    const auto parsed = keys::parse(key);
    const auto last = family->subject();
    if (last == keys::Part::Domain) {
        const auto normal = parsed ? normalize_domain(parsed->subject()) : Result<std::string>("");
        if (!normal || *normal != keys::last_part(key) || normal->empty()) return wrong_form(key, "a domain");
    }
    if (!parsed) return wrong_form(key, last == keys::Part::Id ? "the id of a process" : "a name");
    return *parsed;
}

std::vector<std::string> owned_by(const Draft& draft, std::string_view node) {
    std::vector<std::string> found;
    for (const Family* family : keys::families()) {
        if (family->kind != Kind::Owned) continue;
        for (auto& key : keys_of(draft, *family, node))
            found.push_back(std::move(key));
    }
    return found;
}

void erase_all_of(Draft& draft, const std::string& node) {
    for (const Family* family : keys::families()) {
        if (!is_stored(*family) || !family->dropped_with_node) continue;
        for (const auto& key : keys_of(draft, *family, node))
            draft.erase(key);
    }
}

void rename_all_of(Draft& draft, const std::string& before, const std::string& now) {
    for (const Family* family : keys::families()) {
        if (!is_stored(*family) || family->node == 0) continue;
        const bool moves = family->kind == Kind::Agreed && family->renamed_with_node;
        for (const auto& key : keys_of(draft, *family, before)) {
            if (!moves) {
                draft.erase(key);
                continue;
            }
            Json document = *draft.get(key);
            document["node"] = now;
            draft.put(key, std::move(document));
        }
    }
}

} // namespace p2prc::registry::rules
