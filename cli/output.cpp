#include "cli/output.h"

#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <utility>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

bool begins_character(char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
}

// Text of several lines (a shell's command), all of them from the same column on.
std::string below_each_other(std::string_view text, std::size_t column) {
    while (text.ends_with('\n'))
        text.remove_suffix(1);
    std::string lines;
    for (const char c : text) {
        lines.push_back(c);
        if (c == '\n') lines.append(column, ' ');
    }
    return lines;
}

const Json* find(const Json& document, std::string_view key) {
    if (!document.is_object()) return nullptr;
    const auto it = document.find(key);
    return it == document.end() || it->is_null() ? nullptr : &*it;
}

// Whether somebody gets to read it is another matter.
void write_note(std::string_view text) {
    const auto lines = text::for_terminal(text, text::Lines::Keep) + "\n";
    std::fwrite(lines.data(), 1, lines.size(), stderr);
}

Json with_every_key(Json object, std::span<const Field> fields) {
    for (const auto& field : fields) {
        if (!field.in_json()) {
            object.erase(field.key);
            continue;
        }
        Json& value = *object.emplace(std::string(field.key), nullptr).first;
        if (!field.members) continue;
        if (value.is_object()) value = with_every_key(std::move(value), field.members());
        if (value.is_array())
            for (Json& row : value)
                if (row.is_object()) row = with_every_key(std::move(row), field.members());
    }
    return object;
}

} // namespace

std::string render(const Table& table) {
    // Cells hold what applications and other nodes say: no cell may move a cursor or begin a row.
    std::vector<std::vector<std::string>> rows{table.header};
    rows.insert(rows.end(), table.rows.begin(), table.rows.end());
    for (auto& row : rows)
        for (std::size_t i = 0; i < row.size(); ++i)
            row[i] = text::for_terminal(row[i], table.last_has_lines && i + 1 == row.size()
                                                    ? text::Lines::Keep
                                                    : text::Lines::Replace);
    std::vector<std::size_t> widths(table.header.size(), 0);
    for (const auto& row : rows)
        for (std::size_t i = 0; i < row.size() && i < widths.size(); ++i)
            widths[i] = std::max(widths[i], text_width(row[i]));
    std::string text;
    for (const auto& row : rows) {
        std::size_t column = 0;
        for (std::size_t i = 0; i + 1 < row.size(); ++i) {
            text += row[i];
            text.append(widths[i] - text_width(row[i]) + 2, ' ');
            column += widths[i] + 2;
        }
        text += below_each_other(row.back(), column);
        // A padded cell before an empty one would break the line of a terminal that is as wide as the text.
        text.erase(text.find_last_not_of(' ') + 1);
        text.push_back('\n');
    }
    return text;
}

void print(const Table& table) {
    if (table.rows.empty()) {
        note(table.when_empty);
        return;
    }
    const auto text = render(table);
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_line(std::string_view text) {
    const auto line = text::for_terminal(text) + "\n";
    std::fwrite(line.data(), 1, line.size(), stdout);
}

std::string json_text(const Json& document, int indent) {
    auto plain = document.dump(indent, ' ', false, Json::error_handler_t::replace);
    const auto suspicious = [](char c) { return c == '\x7f' || c == '\xc2'; };
    if (std::ranges::none_of(plain, suspicious)) return plain;
    std::string text;
    text.reserve(plain.size());
    for (std::size_t i = 0; i < plain.size(); ++i) {
        const auto byte = static_cast<unsigned char>(plain[i]);
        const auto next = i + 1 < plain.size() ? static_cast<unsigned char>(plain[i + 1]) : 0U;
        if (byte == 0x7f) {
            text += "\\u007f";
        } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
            text += fmt::format("\\u{:04x}", next);
            ++i;
        } else {
            text += plain[i];
        }
    }
    return text;
}

void print(const Json& document) {
    auto text = json_text(document, 2);
    text += '\n';
    std::fwrite(text.data(), 1, text.size(), stdout);
}

void print(Json document, std::span<const Field> fields) {
    if (document.is_array()) {
        for (auto& row : document)
            row = with_every_key(std::move(row), fields);
        print(document);
        return;
    }
    print(with_every_key(std::move(document), fields));
}

void note(std::string_view text) {
    // Data that was printed before comes first, also where both streams end in one file or pipe.
    std::fflush(stdout);
    if (!text.empty()) write_note(text);
}

int finish(int status) {
    const bool failed = std::ferror(stdout) != 0;
    errno = 0;
    if (std::fclose(stdout) == 0 && !failed) return status;
    const std::string words = "p2prc: the output could not be written";
    write_note(errno == 0 ? words : system_error(words, errno).message);
    return status != 0 ? status : error_info(ErrorCode::Failed).exit_status;
}

int report(const Error& error, bool json) {
    const auto& info = error_info(error.code);
    if (json) {
        print(Json{{"error", {{"code", info.name}, {"message", error.message}, {"hint", error.hint}}}});
    } else {
        note("p2prc: " + below_each_other(error.message, 2)); // perhaps from another machine
        if (!error.hint.empty()) note("  " + below_each_other(error.hint, 2));
    }
    return info.exit_status;
}

std::size_t text_width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string first_columns(std::string_view text, std::size_t columns) {
    std::size_t end = 0;
    while (end < text.size() && (columns > 0 || !begins_character(text[end])))
        if (begins_character(text[end++])) --columns;
    return std::string(text.substr(0, end));
}

std::string cell(const Json& document, std::string_view key) {
    return text::for_terminal(cell_lines(document, key));
}

std::string cell_lines(const Json& document, std::string_view key) {
    const auto* value = find(document, key);
    if (!value) return "-";
    if (value->is_string()) {
        auto text = text::for_terminal(value->get_ref<const std::string&>(), text::Lines::Keep);
        return text.empty() ? "-" : text;
    }
    if (value->is_boolean()) return value->get<bool>() ? "yes" : "no";
    if (value->is_number_float()) return fmt::format("{:.1f}", value->get<double>());
    if (value->is_array()) {
        std::string text;
        for (const auto& item : *value) {
            if (!text.empty()) text += ",";
            text += item.is_string() ? item.get<std::string>() : json_text(item, -1);
        }
        return text.empty() ? "-" : text::for_terminal(text);
    }
    return json_text(*value, -1);
}

std::string cell_bytes(const Json& document, std::string_view key) {
    const auto* value = find(document, key);
    if (!value || !value->is_number()) return "-";
    double amount = value->get<double>();
    constexpr std::string_view units = "BKMGT";
    std::size_t unit = 0;
    while (amount >= 1024 && unit + 1 < units.size()) {
        amount /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{:.0f}B", amount) : fmt::format("{:.1f}{}", amount, units[unit]);
}

std::string cell_age(const Json& document, std::string_view key) {
    const auto* value = find(document, key);
    std::tm parts{};
    if (!value || !value->is_string() ||
        !strptime(value->get_ref<const std::string&>().c_str(), "%Y-%m-%dT%H:%M:%S", &parts))
        return "-";
    const auto seconds = std::max<std::time_t>(0, std::time(nullptr) - timegm(&parts));
    if (seconds < 60) return fmt::format("{}s", seconds);
    if (seconds < 3600) return fmt::format("{}m", seconds / 60);
    if (seconds < 48 * 3600) return fmt::format("{}h", seconds / 3600);
    return fmt::format("{}d", seconds / 86400);
}

std::string certificate_state_words(const std::string& state) {
    return state == "none" ? "not obtained yet" : state;
}

} // namespace p2prc::cli
