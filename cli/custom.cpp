#include "cli/custom.h"

#include "cli/daemon.h"
#include "core/labels.h"
#include "core/text.h"
#include "net/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstddef>
#include <iostream>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_file = std::size_t{64} << 10U; // many times what is stored

Result<std::string> read_input(const std::string& file) {
    if (file != "-") return net::read_file(file, longest_file);
    std::string text;
    for (auto c = std::cin.get(); std::cin; c = std::cin.get()) {
        if (text.size() == longest_file)
            return fail(ErrorCode::InvalidSpec, "there is too much on standard input",
                        fmt::format("custom information has at most {} bytes", largest_custom));
        text.push_back(static_cast<char>(c));
    }
    return text;
}

// "parse error at line 2, column 3: syntax error while parsing value - unexpected ..." of nlohmann::json, as
// the place and what is wrong there.
std::string syntax_words(const std::string& file, std::string_view what) {
    constexpr std::size_t longest = 200;
    constexpr std::string_view at = "parse error at ", syntax = "syntax error ", behind = " - ";
    if (const auto found = what.find(at); found != std::string_view::npos)
        what.remove_prefix(found + at.size());
    auto place = std::string_view();
    if (const auto colon = what.find(": "); colon != std::string_view::npos) {
        place = what.substr(0, colon);
        what.remove_prefix(colon + 2);
    }
    if (const auto dash = what.find(behind); what.starts_with(syntax) && dash != std::string_view::npos)
        what.remove_prefix(dash + behind.size());
    return fmt::format("{}{}{}: this is not JSON: {}", file, place.empty() ? "" : ", ", place,
                       text::excerpt(what, longest));
}

Result<Custom> read_custom(const std::string& file) {
    const auto text = read_input(file);
    if (!text) return std::unexpected(text.error());
    return custom_from_text(*text, file == "-" ? "standard input" : file);
}

} // namespace

Result<Custom> custom_from_text(const std::string& text, const std::string& file) {
    constexpr const char* example = R"(write, for example, {"stands in": "the attic", "owner": "Grete"})";
    Json document;
    std::set<std::string> names;
    std::optional<std::string> twice;
    // RFC 8259 section 4: what a second member of a name means is up to the reader; here the last would win.
    const auto note_twice = [&](int depth, Json::parse_event_t event, Json& name) {
        constexpr int outermost = 1;
        if (event == Json::parse_event_t::key && depth == outermost && !twice)
            if (auto key = name.get<std::string>(); !names.insert(key).second) twice = std::move(key);
        return true;
    };
    try {
        document = Json::parse(text, note_twice);
    } catch (const Json::parse_error& error) {
        const bool empty = text.find_first_not_of(" \t\r\n") == std::string::npos;
        return fail(ErrorCode::InvalidSpec,
                    empty ? fmt::format("{} is empty", file) : syntax_words(file, error.what()),
                    fmt::format("{}; {{}} removes all", example));
    }
    if (!document.is_object())
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{}: this is JSON of the type {}, not an object", file, document.type_name()),
                    fmt::format("{}; {{}} removes all", example));
    if (twice)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{}: '{}' is there twice", file, text::excerpt(*twice)),
                    "leave one of them out");
    auto custom = parse_custom(document);
    if (custom) return custom;
    auto error = custom.error();
    error.message = fmt::format("{}: {}", file, error.message);
    return std::unexpected(std::move(error));
}

Result<int> store_custom(StoreCustom store, const char* key, const std::string& subject,
                         const std::string& file, const Context& context) {
    const auto custom = read_custom(file);
    if (!custom) return std::unexpected(custom.error());
    Daemon daemon;
    if (auto done = daemon.call(store, subject, Json(*custom)); !done) return std::unexpected(done.error());
    if (context.json)
        print(Json{{key, subject}, {"custom", *custom}});
    else
        note(fmt::format("the custom information about '{}' is {}", subject,
                         custom->empty() ? "removed" : "stored"));
    return 0;
}

void add_custom(Table& table, const Json& subject) {
    const auto custom = subject.find("custom");
    if (custom == subject.end() || !custom->is_object()) return;
    for (const auto& [key, value] : custom->items())
        table.rows.push_back({fmt::format("custom.{}", text::for_terminal(key)), cell(*custom, key)});
}

} // namespace p2prc::cli
