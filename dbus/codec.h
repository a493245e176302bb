// JSON values to D-Bus values and back: by a signature, by nature (a{sv}), or by the table of fields of core.
#pragma once

#include "core/error.h"
#include "core/fields.h"
#include "dbus/message.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace p2prc::dbus {

// Whatever writes fails with too_large() when the message would be larger than largest_message; that message
// is of no use then.

// What is read and written at most; beyond it is InvalidSpec. dbus-daemon drops a connection whose message
// nests 64 containers, and one level of a{sv} is three of them.
struct CodecLimits {
    unsigned depth = 16;
    std::size_t values = 100000;
    std::size_t bytes = std::size_t{8} << 20U; // of text
    // Writing: a text that D-Bus cannot carry is refused instead of made fit by text::for_bus. For names and
    // settings in calls, which must not become others.
    bool exact = false;
};

// ---- by signature ----

// Appends `value` as the one complete D-Bus type `type`. Arrays and structs are JSON arrays, dictionaries
// with text keys are objects; a dictionary of variants leaves nulls out. A text will do for `ay`, with its
// bytes as they are. Texts are made fit by text::for_bus, and entries whose key does not fit are left out.
// InvalidSpec when the value does not fit otherwise, and then nothing has been appended. Not for types with
// `h`.
Result<void> write_value(const Message& message, std::string_view type, const nlohmann::json& value,
                         const CodecLimits& limits = {});
// Whether write_value would take it.
bool fits(std::string_view type, const nlohmann::json& value, const CodecLimits& limits = {});

// Reads the next complete value, whatever its type. Texts, numbers and booleans as they are, arrays and
// structs as arrays, dictionaries with text keys as objects, variants as what they hold.
Result<nlohmann::json> read_value(const Message& message, const CodecLimits& limits = {});
// All values of the body, from its beginning.
Result<nlohmann::json> read_body(const Message& message, const CodecLimits& limits = {});

// ---- by nature ----

// Appends an object as a{sv}: texts s, booleans b, whole numbers t (negative ones x), others d, objects
// a{sv}, lists of texts as, lists of objects aa{sv}, other lists av; nulls are left out. An empty list is
// `as`. Read it back with read_value.
Result<void> write_dictionary(const Message& message, const nlohmann::json& object,
                              const CodecLimits& limits = {});

// ---- by the table of fields ----

// Reads the next value, which must be an a{sv} with the keys of a process file, to a document for
// spec_from_document. A key of the table must have the table's type (any whole number type will do for
// another); keys that it does not know are passed on for that function to refuse.
Result<nlohmann::json> read_spec(const Message& message, const CodecLimits& limits = {});

// Appends a document with the keys of a process file as the a{sv} that read_spec reads. InvalidSpec names a
// key whose value has another type; a command may be one text, a size a number.
Result<void> write_spec(const Message& message, const nlohmann::json& document);

// Appends an object as a{sv} with the types of `fields` (process_fields(), ...). Keys that the table does not
// know go by nature. Nulls and what does not fit are left out, at whatever depth, and never take what stands
// beside them along.
Result<void> write_fields(const Message& message, std::span<const Field> fields,
                          const nlohmann::json& object);
// The same for a list of objects, aa{sv}.
Result<void> write_field_list(const Message& message, std::span<const Field> fields,
                              const nlohmann::json& list);
// The same, an object at a time: `rows` hands each to what it is called with. All of thousands at once would
// take ten times the memory of the message.
using Rows = std::function<void(const std::function<void(const nlohmann::json&)>&)>;
Result<void> write_field_list(const Message& message, std::span<const Field> fields, const Rows& rows);

// Appends what stands for "not known" as `type`, as D-Bus has no null: an empty text or list, the path
// "/", 0, false.
Result<void> write_nothing(const Message& message, std::string_view type);

} // namespace p2prc::dbus
