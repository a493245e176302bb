#include "core/toml_words.h"

#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

namespace p2prc {
namespace {

struct Words {
    std::string message, hint;
};

std::string_view line_of(std::string_view text, std::size_t number) {
    for (; number > 1; --number) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    auto line = text.substr(0, text.find('\n'));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

bool begins_character(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
}

// The byte of a line where a column begins.
std::size_t byte_at(std::string_view line, std::size_t column) {
    std::size_t at = 0;
    for (; at < line.size(); ++at) {
        if (begins_character(line[at]) && --column == 0) break;
    }
    return at;
}

// The other way round.
std::size_t column_at(std::string_view line, std::size_t byte) {
    return 1 + static_cast<std::size_t>(std::ranges::count_if(line.substr(0, byte), begins_character));
}

std::string_view trimmed(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// The value that the column is in, or ends.
std::string_view value_at(std::string_view line, std::size_t column) {
    const auto at = byte_at(line, column);
    const auto before = line.substr(0, at).find_last_of("=,[{");
    const auto rest = line.substr(before == std::string_view::npos ? 0 : before + 1);
    return trimmed(rest.substr(0, rest.find_first_of(",]}#")));
}

// The key or table that a line is about.
std::string_view subject_of(std::string_view line) {
    line = trimmed(line);
    if (line.starts_with('[')) return line.substr(0, line.find_last_of(']') + 1);
    return trimmed(line.substr(0, line.find('=')));
}

bool is_number_like(std::string_view value) {
    return !value.empty() && value.find_first_not_of("0123456789_+-.") == std::string_view::npos;
}

Words wrong_value(std::string_view value) {
    Words words{fmt::format("expected a value, not {}", text::excerpt(value)), {}};
    std::string small(value);
    std::ranges::transform(small, small.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
    const bool yes = small == "true" || small == "yes" || small == "on";
    const bool no = small == "false" || small == "no" || small == "off";
    if (yes || no) words.hint = fmt::format("write {}", yes ? "true" : "false");
    // U+201C and its sisters, as word processors and web pages have them.
    else if (value.find("\xe2\x80\x9c") != std::string_view::npos ||
             value.find("\xe2\x80\x9d") != std::string_view::npos ||
             value.find("\xe2\x80\x98") != std::string_view::npos ||
             value.find("\xe2\x80\x99") != std::string_view::npos)
        words.hint = "write straight quotes: \"";
    else if (is_number_like(value))
        words.hint =
            "a number has no zeros in front, and digits on both sides of a point; text is in double quotes";
    else if (value.find('"') == std::string_view::npos)
        words.hint = fmt::format("put text in double quotes: \"{}\"", text::excerpt(value));
    else
        words.hint = "put all of a text in double quotes; in it, a double quote is written \\\"";
    return words;
}

// What the parser's words have in them, from the most telling on.
struct Row {
    std::string_view saying;
    std::string_view message, hint;
};

constexpr std::string_view close_list = "separate the values by commas, and close the list with ]";
constexpr std::string_view close_braces =
    "a table in { } is KEY = VALUE, KEY = VALUE, all on one line, with no comma at its end";
constexpr std::string_view close_string =
    "close it with the quote that it begins with; a text of several lines is in \"\"\" and \"\"\"";
constexpr std::string_view backslash =
    "write \\\\ for a backslash, or put the text in single quotes, where a backslash is nothing special";
constexpr std::string_view plain_text = "save the file as plain text in UTF-8";
constexpr std::string_view line_forms = "a line is KEY = VALUE or [table], or begins with #";
constexpr std::string_view key_value = "write KEY = VALUE, such as name = \"calendar\"";
constexpr std::string_view key_form =
    "a key has letters, digits, - and _; put it in double quotes if it has others";

constexpr std::array rows{
    Row{"utf-8", "expected text in UTF-8", plain_text},
    Row{"utf8", "expected text in UTF-8", plain_text},
    Row{"surrogate", "expected text in UTF-8", plain_text},
    Row{"parsing string: encountered end-of-file", "the text of a string has no end", close_string},
    Row{"parsing literal string: encountered end-of-file", "the text of a string has no end", close_string},
    Row{"parsing array: encountered end-of-file", "expected ] at the end of the list", close_list},
    Row{"parsing inline table: encountered end-of-file", "expected } at the end of the table", close_braces},
    Row{"parsing table header: encountered end-of-file", "expected ] after the table's name", "write [run]"},
    Row{"expected '=', saw", "expected = after the key", key_value},
    Row{"expected value, saw", "expected a value after =", key_value},
    Row{"expected value or closing ']'", "expected a value or ], not another comma", close_list},
    Row{"expected comma or closing ']'", "expected a comma or ]", close_list},
    Row{"closing '}'", "expected KEY = VALUE, a comma or }", close_braces},
    Row{"expected ']', saw", "expected ] after the table's name", key_form},
    Row{"escape sequence", "a backslash begins an escape, and this is none", backslash},
    Row{"hex digit", "expected a hexadecimal digit of an escape", backslash},
    Row{"U+10FFFF", "expected an escape of a character", backslash},
    Row{"line-ending backslash", "expected the end of the line after the backslash", backslash},
    Row{"expected a comment or whitespace", "expected the end of the line",
        "write one KEY = VALUE on each line, and text in double quotes"},
    Row{"expected keys, tables", "expected a key or a [table]", line_forms},
    Row{"expected bare key", "expected a key", key_form},
    Row{"blank bare keys", "expected a table's name", "write [run]"},
    Row{"prohibited in keys", "expected a key", key_form},
    Row{"prohibited in dotted keys", "expected a key", key_form},
    Row{"parsing key-value pair: encountered end-of-file", "expected = and a value after the key", key_value},
    Row{"parsing key: encountered end-of-file", "expected = and a value after the key", key_value},
    Row{"contiguous", "expected [[ and ]] without spaces between them", "write [[remedy]]"},
};

// Moves the place to where the wrong value begins.
Words words_for(std::string_view text, TomlPlace& place, std::string_view said) {
    const auto line = line_of(text, place.line);
    const auto has = [&](std::string_view words) { return said.find(words) != std::string_view::npos; };
    if (text.find('\0') != std::string_view::npos)
        return {"expected text, and this is a binary file", "is it the right file?"};
    if (has("cannot redefine") || has("cannot insert"))
        return {fmt::format("{} is there already", text::excerpt(subject_of(line))),
                "a key and a table stand in a file once: put all of it in one place"};
    if (has("control character")) {
        // A string that is not closed runs into the end of its line.
        if (has("string") && byte_at(line, place.column) >= line.size())
            return {"expected the end of the string before the end of the line", std::string(close_string)};
        return {"a control character does not belong here", std::string(plain_text)};
    }
    const auto* const row = std::ranges::find_if(rows, [&](const Row& each) { return has(each.saying); });
    if (row != rows.end()) return {std::string(row->message), std::string(row->hint)};
    // All else is about the form of a value: a word, a number, a date.
    const auto value = value_at(line, place.column);
    if (value.empty()) return {"expected a value", std::string(key_value)};
    if (value.starts_with('=')) return {"expected a value after =", std::string(key_value)};
    place.column = column_at(line, static_cast<std::size_t>(value.data() - line.data()));
    return wrong_value(value);
}

} // namespace

Error toml_error(std::string_view text, TomlPlace place, std::string_view parser_words) {
    auto [message, hint] = words_for(text, place, parser_words);
    return {ErrorCode::InvalidSpec,
            fmt::format("{}:{}:{}: {}", place.file, place.line, place.column, message), std::move(hint)};
}

} // namespace p2prc
