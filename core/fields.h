// The one table of keys: process file, JSON and D-Bus codecs and the documentation are made from it.
#pragma once

#include <span>
#include <string_view>

namespace p2prc {

// How a value looks in JSON; the D-Bus signature narrows it further.
// Size: a string such as "512M", or an integer of bytes. Command: a list of words, or one string for sh -c.
// Time: microseconds of CLOCK_REALTIME. Object: the path of an object on the bus.
enum class FieldType {
    String,
    Boolean,
    Integer,
    Number,
    Time,
    Object,
    StringList,
    IntegerList,
    StringMap,
    Table,
    TableList,
    Command,
    Size
};

// Results go out in three forms: as a dictionary on the bus, as properties of an object, as JSON.
enum class Shown {
    Everywhere,
    OnBus,      // not in JSON, whose readers have names and texts
    InRows,     // in dictionaries alone: an object need not name itself
    NoProperty, // nothing sets it yet
};

struct Field {
    std::string_view key; // path, dots between tables: "run.command"
    FieldType type;
    std::string_view signature; // D-Bus type inside the variant
    bool built;                 // false: accepted only with its default, refused with "not in this version"
    std::string_view documentation;
    Shown shown = Shown::Everywhere;
    std::span<const Field> (*members)() noexcept = nullptr; // of a table, or of each table of a list

    constexpr bool is_property() const { return shown == Shown::Everywhere || shown == Shown::OnBus; }
    constexpr bool in_json() const { return shown == Shown::Everywhere || shown == Shown::NoProperty; }
};

// Keys of a process file, in the order of the documentation.
std::span<const Field> spec_fields() noexcept;
// Keys of a [[remedy]] there.
std::span<const Field> remedy_fields() noexcept;
// Keys that information and lists of processes, nodes and domains return.
std::span<const Field> process_fields() noexcept;
// Keys of the rows of ProcessHistory.
std::span<const Field> history_fields() noexcept;
std::span<const Field> reason_fields() noexcept;
// Keys of the rows of ListUsage.
std::span<const Field> usage_fields() noexcept;
// Keys of the rows of ListOwners, and of what LimitOwner answers.
std::span<const Field> owner_fields() noexcept;
std::span<const Field> node_fields() noexcept;
// Keys of a row of ExplainPlacement, and of all that ExplainSpin answers.
std::span<const Field> placement_fields() noexcept;
std::span<const Field> explanation_fields() noexcept;
// Keys of what CleanDeployments answers.
std::span<const Field> cleaned_fields() noexcept;
// Keys of a row of DrainNode.
std::span<const Field> drained_fields() noexcept;
std::span<const Field> domain_fields() noexcept;
std::span<const Field> zone_fields() noexcept;
std::span<const Field> record_fields() noexcept;
// Keys of Status, and of Facts, which has those of Status too.
std::span<const Field> status_fields() noexcept;
std::span<const Field> facts_fields() noexcept;
// Keys of the details of an Event.
std::span<const Field> event_fields() noexcept;
// Keys of what Init answers.
std::span<const Field> init_fields() noexcept;

// The row of `key` in `fields`, or nullptr.
const Field* find_field(std::span<const Field> fields, std::string_view key) noexcept;

} // namespace p2prc
