#include "core/labels.h"

#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_part = 63;

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_word(std::string_view text) {
    return !text.empty() && text.size() <= longest_part && is_letter_or_digit(text.front()) &&
           is_letter_or_digit(text.back()) && std::ranges::all_of(text, [](char c) {
               return is_letter_or_digit(c) || c == '-' || c == '_' || c == '.';
           });
}

bool is_plain(std::string_view text) {
    return text::fits_bus(text) && !text::has_controls(text);
}

bool is_custom_name(std::string_view name) {
    return !name.empty() && name.size() <= longest_part && is_plain(name);
}

} // namespace

Result<std::pair<std::string, std::string>> parse_label(std::string_view text) {
    const auto equals = text.find('=');
    const auto key = text.substr(0, equals);
    const auto value = equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
    if (is_word(key) && (value.empty() || is_word(value)))
        return std::pair(std::string(key), std::string(value));
    return fail(
        ErrorCode::InvalidSpec, fmt::format("'{}' is not a label", text::excerpt(text)),
        "a label is KEY or KEY=VALUE, such as ssd or disk=ssd: letters, digits, '-', '_' and '.', each "
        "at most 63 long, with a letter or a digit at both ends");
}

std::string label_text(std::string_view key, std::string_view value) {
    return value.empty() ? std::string(key) : fmt::format("{}={}", key, value);
}

bool has_label(const Labels& labels, std::string_view wanted) {
    const auto equals = wanted.find('=');
    const auto label = labels.find(wanted.substr(0, equals));
    if (label == labels.end()) return false;
    return equals == std::string_view::npos || label->second == wanted.substr(equals + 1);
}

Result<void> check_custom(const Custom& custom) {
    for (const auto& [name, value] : custom) {
        if (!is_custom_name(name))
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("'{}' is not a name of custom information", text::excerpt(name)),
                        "a name has 1 to 63 bytes, and no control characters");
        if (!is_plain(value))
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("the value of '{}' has characters that do not belong into one line of "
                                    "text",
                                    name),
                        "it is one line, without tabs and other control characters");
    }
    if (const auto size = Json(custom).dump().size(); size > largest_custom)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the custom information has {} bytes, and may have {}", size, largest_custom),
                    "keep it short: every node of the fleet has a copy");
    return {};
}

Result<Custom> parse_custom(const Json& document) {
    if (!document.is_object())
        return fail(ErrorCode::InvalidSpec, "the custom information is not a table",
                    "custom information is a table of texts");
    Custom custom;
    for (const auto& [name, value] : document.items()) {
        const auto* text = value.get_ptr<const std::string*>();
        if (!text)
            return fail(
                ErrorCode::InvalidSpec,
                fmt::format("'{}' is not text, but of the type {}", text::excerpt(name), value.type_name()),
                value.is_structured() ? "the values are texts; write each under a name of its own"
                                      : "put the value in double quotes");
        custom.emplace(name, *text);
    }
    if (const auto good = check_custom(custom); !good) return std::unexpected(good.error());
    return custom;
}

Labels labels_from_json(const Json& document) {
    Labels labels;
    if (!document.is_object()) return labels;
    for (const auto& [key, value] : document.items()) {
        if (labels.size() == most_labels) break;
        const auto* text = value.get_ptr<const std::string*>();
        if (text && is_word(key) && (text->empty() || is_word(*text))) labels.emplace(key, *text);
    }
    return labels;
}

Custom custom_from_json(const Json& document) {
    Custom custom;
    if (!document.is_object()) return custom;
    for (const auto& [name, value] : document.items())
        if (const auto* text = value.get_ptr<const std::string*>();
            text && is_custom_name(name) && is_plain(*text))
            custom.emplace(name, *text);
    return check_custom(custom) ? custom : Custom();
}

} // namespace p2prc
