#include "core/spec_hints.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

bool is_time(const Field& field) {
    return field.key == "ready.timeout" || field.key == "live.every" || field.key == "update.hold";
}

} // namespace

std::string hint_for_place(std::string_view path, std::string_view key) {
    for (const auto& field : spec_fields()) {
        const auto dot = field.key.rfind('.');
        const auto table = dot == std::string_view::npos ? std::string_view() : field.key.substr(0, dot);
        if (!field.built || table == path || field.key.substr(table.empty() ? 0 : dot + 1) != key) continue;
        if (path.empty()) return fmt::format("did you mean '{}'?", field.key);
        if (table.empty())
            return fmt::format("'{}' belongs to the top of the file, above the first [table]", key);
        return fmt::format("'{}' belongs to [{}]", key, table);
    }
    return {};
}

std::string type_hint(const Field& field, const nlohmann::json& value) {
    if (field.key == "limits.cpu" && value.is_number_integer())
        return fmt::format("write \"{}%\"", value.dump());
    if (is_time(field)) return fmt::format("write \"{}s\"", value.is_number_integer() ? value.dump() : "30");
    if (field.type == FieldType::TableList && value.is_object())
        return fmt::format("write [[{}]] above each", field.key);
    if (field.type == FieldType::Integer && value.is_string()) return "write it without quotes";
    if (field.type == FieldType::String && value.is_primitive()) return "write it in double quotes";
    if (field.type == FieldType::StringList && value.is_string())
        return "write a list, a word each: [\"/usr/bin/program\", \"argument\"]";
    if (field.type == FieldType::IntegerList && value.is_number_integer())
        return fmt::format("write [{}]", value.dump());
    if (field.type == FieldType::Boolean) return "write true or false, without quotes";
    return {};
}

} // namespace p2prc
