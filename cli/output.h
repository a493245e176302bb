// What the command line prints: tables for people, JSON for programs, errors for both.
#pragma once

#include "core/error.h"
#include "core/fields.h"

#include <nlohmann/json_fwd.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::cli {

// Whatever stands in them, cells move no cursor and are not taken for rows. Columns are padded to their
// widest cell; the last one is not. With no rows nothing but `when_empty` is printed, on standard error: data
// goes to standard output alone.
struct Table {
    std::vector<std::string> header;
    std::vector<std::vector<std::string>> rows;
    std::string when_empty = {};
    bool last_has_lines = false; // cells of the last column keep theirs, below each other
};
std::string render(const Table& table);
void print(const Table& table);

// One line on standard output, whatever is in it: a newline from another machine does not begin another one.
void print_line(std::string_view text);

// JSON leaves DEL and the C1 controls as they are, and terminals obey them: here they are escaped too. An
// `indent` of -1 makes one line.
std::string json_text(const nlohmann::json& document, int indent);
// One document, indented, and a newline.
void print(const nlohmann::json& document);
// One object, or a list of them, with every key of `fields`: D-Bus leaves out what is not known, JSON says
// null.
void print(nlohmann::json document, std::span<const Field> fields);
// Progress and messages, on standard error, without controls but for newline and tab.
void note(std::string_view text);

// The exit status of a program that ends with `status`: another one, and a message, where not all that was
// printed could be written. Nothing can be printed after it.
int finish(int status);

// "p2prc: MESSAGE" and its hint on standard error, or the object on standard output. Returns the exit status.
int report(const Error& error, bool json);

// A member for a table's cell or a sentence, one line and fit for a terminal: "-" for what is null or
// missing.
std::string cell(const nlohmann::json& document, std::string_view key);
// The same with the lines of a text, for a cell that keeps them.
std::string cell_lines(const nlohmann::json& document, std::string_view key);
// Terminal columns of UTF-8 text: its code points. Names are ASCII; logs and commands may not be.
std::size_t text_width(std::string_view text);
// As many of its first characters as fit in so many columns.
std::string first_columns(std::string_view text, std::size_t columns);
// 1536 -> "1.5K"; "-" for null.
std::string cell_bytes(const nlohmann::json& document, std::string_view key);
// "3m", "2h", "5d" since an RFC 3339 time; "-" when it cannot be read.
std::string cell_age(const nlohmann::json& document, std::string_view key);
// The state of a certificate in a person's words: "none" is one that has not been obtained yet.
std::string certificate_state_words(const std::string& state);

} // namespace p2prc::cli
