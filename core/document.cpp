#include "core/document.h"

#include "core/names.h"
#include "core/text.h"
#include "core/toml_words.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <utility>

namespace p2prc {
namespace {

using Json = nlohmann::json;

struct Converter {
    TomlDocument& result;
    std::string file;
    Result<void> failure = {};

    std::string place(const toml::node& node) const {
        return fmt::format("{}:{}", file, node.source().begin.line);
    }

    Json table(const toml::table& source, const std::string& path) {
        Json out = Json::object();
        for (const auto& [key, node] : source) {
            const std::string name(key.str());
            const auto below = path.empty() ? name : path + "." + name;
            result.places[below] = fmt::format("{}:{}", file, key.source().begin.line);
            out[name] = value(node, below);
        }
        return out;
    }

    Json value(const toml::node& node, const std::string& path) {
        if (const auto* t = node.as_table()) return table(*t, path);
        if (const auto* a = node.as_array()) {
            Json out = Json::array();
            for (std::size_t i = 0; i < a->size(); ++i) {
                const auto below = fmt::format("{}[{}]", path, i);
                result.places[below] = place((*a)[i]);
                out.push_back(value((*a)[i], below));
            }
            return out;
        }
        if (const auto* s = node.as_string()) return s->get();
        if (const auto* i = node.as_integer()) return i->get();
        if (const auto* f = node.as_floating_point()) return f->get();
        if (const auto* b = node.as_boolean()) return b->get();
        failure = fail(ErrorCode::InvalidSpec,
                       fmt::format("{}: {}: a date or time does not belong here", place(node), path),
                       "write it as a string, in quotes");
        return nullptr;
    }
};

// The parser and Converter call themselves for each level, and so does the end of a document: thousands of
// levels would take the whole stack.
constexpr std::size_t most_levels = 32;

// Behind the string that begins at `start`, or where it breaks off.
std::size_t end_of_string(std::string_view text, std::size_t start) {
    const char quote = text[start];
    const std::string three(3, quote);
    const bool lines = text.substr(start).starts_with(three);
    for (auto at = start + (lines ? 3 : 1); at < text.size(); ++at) {
        if (quote == '"' && text[at] == '\\') {
            ++at;
        } else if (!lines && (text[at] == quote || text[at] == '\n')) {
            return at + 1;
        } else if (lines && text.substr(at).starts_with(three)) {
            // One or two quotes more are the end of what is quoted.
            return std::min(text.find_first_not_of(quote, at + 3), std::min(at + 5, text.size()));
        }
    }
    return text.size();
}

// The place in a TOML text where a dotted key has more parts, or more brackets are open, than there are
// levels.
std::optional<std::size_t> too_deep(std::string_view text) {
    std::size_t dots = 0;
    std::size_t open = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        switch (text[at]) {
        case '#':
            at = std::min(text.find('\n', at), text.size()) - 1;
            break;
        case '"':
        case '\'':
            at = end_of_string(text, at) - 1;
            break;
        case '.':
            ++dots;
            break;
        case '[':
        case '{':
            ++open;
            dots = 0;
            break;
        case ']':
        case '}':
            open -= open > 0 ? 1 : 0;
            break;
        case ',':
        case '=':
        case '\n':
            dots = 0;
            break;
        default:
            break;
        }
        if (dots >= most_levels || open > most_levels) return at;
    }
    return std::nullopt;
}

std::string_view type_words(FieldType type) {
    switch (type) {
    case FieldType::String:
    case FieldType::Object:
        return "a string";
    case FieldType::Boolean:
        return "true or false";
    case FieldType::Integer:
    case FieldType::Time:
        return "a whole number";
    case FieldType::Number:
        return "a number";
    case FieldType::StringList:
        return "a list of strings";
    case FieldType::IntegerList:
        return "a list of whole numbers";
    case FieldType::StringMap:
        return "a table of strings";
    case FieldType::Table:
        return "a table";
    case FieldType::TableList:
        return "a list of tables";
    case FieldType::Command:
        return "a list of strings, or one string";
    case FieldType::Size:
        return "a size such as \"512M\"";
    }
    return "something else";
}

std::string_view found_words(const Json& value) {
    if (value.is_string()) return "a string";
    if (value.is_boolean()) return "true or false";
    if (value.is_number_integer()) return "a whole number";
    if (value.is_number()) return "a number with a fraction";
    if (value.is_array()) return "a list";
    if (value.is_object()) return "a table";
    return "nothing";
}

bool is_string_list(const Json& value) {
    return value.is_array() && std::ranges::all_of(value, [](const Json& item) { return item.is_string(); });
}

// The member that keeps a table or list of strings or whole numbers from being one.
std::optional<std::pair<std::string, const Json*>> misfit_in(const Json& value, FieldType type,
                                                             std::string_view key) {
    const bool numbers = type == FieldType::IntegerList;
    const bool map = type == FieldType::StringMap && value.is_object();
    const bool list =
        (numbers || type == FieldType::StringList || type == FieldType::Command) && value.is_array();
    if (!map && !list) return std::nullopt;
    std::size_t index = 0;
    for (const auto& [name, item] : value.items()) {
        if (numbers ? !item.is_number_integer() : !item.is_string())
            return std::pair(map ? fmt::format("{}.{}", key, name) : fmt::format("{}[{}]", key, index),
                             &item);
        ++index;
    }
    return std::nullopt;
}

bool has_type(const Json& value, FieldType type) {
    switch (type) {
    case FieldType::String:
    case FieldType::Object:
        return value.is_string();
    case FieldType::Boolean:
        return value.is_boolean();
    case FieldType::Integer:
    case FieldType::Time:
        return value.is_number_integer();
    case FieldType::Number:
        return value.is_number();
    case FieldType::StringList:
        return is_string_list(value);
    case FieldType::IntegerList:
        return value.is_array() &&
               std::ranges::all_of(value, [](const Json& item) { return item.is_number_integer(); });
    case FieldType::StringMap:
        return value.is_object() &&
               std::ranges::all_of(value, [](const Json& item) { return item.is_string(); });
    case FieldType::Table:
        return value.is_object();
    case FieldType::TableList:
        return value.is_array() &&
               std::ranges::all_of(value, [](const Json& item) { return item.is_object(); });
    case FieldType::Command:
        return value.is_string() || is_string_list(value);
    case FieldType::Size:
        return value.is_string() || value.is_number_integer();
    }
    return false;
}

} // namespace

Locate TomlDocument::locate() const {
    return [places = places](std::string_view key) -> std::string {
        std::string path(key);
        while (!path.empty()) {
            if (const auto it = places.find(path); it != places.end()) return it->second;
            const auto cut = path.find_last_of(".[");
            if (cut == std::string::npos) break;
            path.resize(cut);
        }
        return {};
    };
}

Result<TomlDocument> parse_toml(std::string_view text, std::string_view file) {
    if (const auto at = too_deep(text))
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{}:{}: nested in more than {} levels", file,
                                1 + std::ranges::count(text.substr(0, *at), '\n'), most_levels),
                    "there are no such keys, nor such values");
    TomlDocument result;
    try {
        const toml::table table = toml::parse(text, file);
        Converter converter{result, std::string(file)};
        result.document = converter.table(table, "");
        if (!converter.failure) return std::unexpected(converter.failure.error());
    } catch (const toml::parse_error& error) {
        const auto& begin = error.source().begin;
        return std::unexpected(toml_error(text, {file, begin.line, begin.column}, error.description()));
    }
    return result;
}

Error bad_key(const Locate& locate, std::string_view key, std::string_view why, std::string hint,
              ErrorCode code) {
    std::string place = locate ? locate(key) : std::string{};
    if (!place.empty()) place += ": ";
    return {code, fmt::format("{}{}: {}", place, text::excerpt(key), why), std::move(hint)};
}

Result<void> check_known_keys(const Json& table, std::string_view path,
                              std::span<const std::string_view> known, const Locate& locate,
                              std::span<const std::string_view> offered) {
    if (offered.empty()) offered = known;
    for (const auto& [key, value] : table.items()) {
        if (std::ranges::find(known, key) != known.end()) continue;
        const auto full = path.empty() ? key : fmt::format("{}.{}", path, key);
        const auto near = nearest(key, offered);
        auto hint = near.empty() ? fmt::format("known keys: {}", fmt::join(offered, ", "))
                                 : fmt::format("did you mean '{}'?", near);
        return std::unexpected(bad_key(locate, full, "unknown key", std::move(hint)));
    }
    return {};
}

Result<void> check_type(const Json& value, FieldType type, std::string_view key, const Locate& locate) {
    if (has_type(value, type)) return {};
    if (const auto member = misfit_in(value, type, key))
        return std::unexpected(bad_key(
            locate, member->first,
            fmt::format("must be {}, not {}",
                        type_words(type == FieldType::IntegerList ? FieldType::Integer : FieldType::String),
                        found_words(*member->second))));
    return std::unexpected(
        bad_key(locate, key, fmt::format("must be {}, not {}", type_words(type), found_words(value))));
}

} // namespace p2prc
