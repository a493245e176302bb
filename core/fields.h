// The one table of keys: process file, JSON and D-Bus codecs and the documentation are made from it.
#pragma once

#include <span>
#include <string_view>

namespace p2prc {

// How a value looks in JSON; the D-Bus signature narrows it further.
// Size: a string such as "512M", or an integer of bytes. Command: a list of words, or one string for sh -c.
enum class FieldType {
    String,
    Boolean,
    Integer,
    Number,
    StringList,
    IntegerList,
    StringMap,
    Table,
    TableList,
    Command,
    Size
};

struct Field {
    std::string_view key; // path, dots between tables: "run.command"
    FieldType type;
    std::string_view signature; // D-Bus type inside the variant
    bool built;                 // false: accepted only with its default, refused with "not in this version"
    std::string_view documentation;
};

// Keys of a process file, in the order of the documentation.
std::span<const Field> spec_fields() noexcept;
// Keys that information and lists of processes, nodes and domains return.
std::span<const Field> process_fields() noexcept;
std::span<const Field> reason_fields() noexcept;
std::span<const Field> node_fields() noexcept;
std::span<const Field> domain_fields() noexcept;

// The row of `key` in `fields`, or nullptr.
const Field* find_field(std::span<const Field> fields, std::string_view key) noexcept;

} // namespace p2prc
