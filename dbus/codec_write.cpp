#include "core/text.h"
#include "dbus/codec.h"
#include "dbus/limits.h"
#include "dbus/signature.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace p2prc::dbus {

namespace {

using Json = nlohmann::json;

// The D-Bus type that a value has by nature; empty for null.
std::string natural_type(const Json& value) {
    switch (value.type()) {
    case Json::value_t::string:
        return "s";
    case Json::value_t::boolean:
        return "b";
    case Json::value_t::number_unsigned:
        return "t";
    case Json::value_t::number_integer:
        return value.get<std::int64_t>() < 0 ? "x" : "t";
    case Json::value_t::number_float:
        return "d";
    case Json::value_t::object:
        return "a{sv}";
    case Json::value_t::array: {
        bool strings = true;
        bool objects = true;
        for (const Json& element : value) {
            strings = strings && element.is_string();
            objects = objects && element.is_object();
        }
        return strings ? "as" : objects ? "aa{sv}" : "av";
    }
    default:
        return {};
    }
}

template <class T>
bool in_range(const Json& value) {
    if (value.is_number_unsigned())
        return value.get<std::uint64_t>() <= std::uint64_t{std::numeric_limits<T>::max()};
    if (!value.is_number_integer()) return false;
    const auto number = value.get<std::int64_t>();
    if constexpr (std::is_unsigned_v<T>)
        return number >= 0 && static_cast<std::uint64_t>(number) <= std::numeric_limits<T>::max();
    else
        return number >= std::numeric_limits<T>::min() && number <= std::numeric_limits<T>::max();
}

class Checker {
  public:
    explicit Checker(const CodecLimits& limits) : limits_(limits) {}

    bool check(std::string_view type, const Json& value, unsigned depth) {
        if (type.empty() || depth > limits_.depth || ++values_ > limits_.values) return false;
        switch (type[0]) {
        case 'y':
            return in_range<std::uint8_t>(value);
        case 'n':
            return in_range<std::int16_t>(value);
        case 'q':
            return in_range<std::uint16_t>(value);
        case 'i':
            return in_range<std::int32_t>(value);
        case 'u':
            return in_range<std::uint32_t>(value);
        case 'x':
            return in_range<std::int64_t>(value);
        case 't':
            return in_range<std::uint64_t>(value);
        case 'b':
            return value.is_boolean();
        case 'd':
            return value.is_number() && std::isfinite(value.get<double>()); // as the reader has it
        case 's':
            return value.is_string() && check_text(value.get_ref<const std::string&>());
        case 'o':
            return value.is_string() && check_text(value.get_ref<const std::string&>()) &&
                   sd_bus_object_path_is_valid(value.get_ref<const std::string&>().c_str()) > 0;
        case 'v':
            return check(natural_type(value), value, depth);
        case 'a':
            return type.size() > 1 && type[1] == '{' ? check_dictionary(type.substr(2), value, depth)
                                                     : check_array(type.substr(1), value, depth);
        case '(':
            return check_struct(type.substr(1), value, depth);
        default:
            return false;
        }
    }

    bool check_text(const std::string& text) {
        bytes_ += text.size();
        return bytes_ <= limits_.bytes && (!limits_.exact || text::fits_bus(text));
    }

  private:
    // `rest` is what follows "a{": the key's type, the value's, "}".
    bool check_dictionary(std::string_view rest, const Json& value, unsigned depth) {
        if (!value.is_object() || rest.empty() || rest[0] != 's') return false;
        const std::string_view element = first_type(rest.substr(1));
        for (const auto& [key, inner] : value.items()) {
            if (inner.is_null() && element == "v") continue;
            if (!limits_.exact && !text::fits_bus(key)) continue;
            if (!check_text(key) || !check(element, inner, depth + 1)) return false;
        }
        return true;
    }

    bool check_array(std::string_view element, const Json& value, unsigned depth) {
        if (element == "y" && value.is_string()) {
            bytes_ += value.get_ref<const std::string&>().size();
            return bytes_ <= limits_.bytes;
        }
        if (!value.is_array()) return false;
        for (const Json& inner : value)
            if (!check(element, inner, depth + 1)) return false;
        return true;
    }

    bool check_struct(std::string_view rest, const Json& value, unsigned depth) {
        if (!value.is_array()) return false;
        for (const Json& inner : value) {
            const std::string_view element = first_type(rest);
            if (!check(element, inner, depth + 1)) return false;
            rest.remove_prefix(element.size());
        }
        return rest == ")";
    }

    const CodecLimits& limits_;
    std::size_t values_ = 0;
    std::size_t bytes_ = 0;
};

// D-Bus specification, "Marshaling": what a value of the type begins at a multiple of.
std::size_t alignment_of(char type) {
    switch (type) {
    case 'n':
    case 'q':
        return 2;
    case 'i':
    case 'u':
    case 'b':
    case 's':
    case 'o':
    case 'a':
        return 4;
    case 'x':
    case 't':
    case 'd':
    case '(':
    case '{':
        return 8;
    default:
        return 1;
    }
}

// Appends what a Checker has passed, with texts made fit: sd-bus would refuse them in the middle of a
// message, when it is too late to leave one out. The first failure sticks, and so does reaching
// largest_message: the bus ends the connection of whoever sends it more than it takes.
class Writer {
  public:
    explicit Writer(const Message& message) : written_(message), message_(message.get()) {}

    int write(std::string_view type, const Json& value) {
        switch (type[0]) {
        case 'y':
            return basic<std::uint8_t>('y', value);
        case 'n':
            return basic<std::int16_t>('n', value);
        case 'q':
            return basic<std::uint16_t>('q', value);
        case 'i':
            return basic<std::int32_t>('i', value);
        case 'u':
            return basic<std::uint32_t>('u', value);
        case 'x':
            return basic<std::int64_t>('x', value);
        case 't':
            return basic<std::uint64_t>('t', value);
        case 'd':
            return basic<double>('d', value);
        case 'b': {
            const int truth = value.get<bool>() ? 1 : 0;
            return append('b', &truth, 4);
        }
        case 's':
            return text(value.get_ref<const std::string&>());
        case 'o':
            return append_text('o', value.get_ref<const std::string&>());
        case 'v': {
            const std::string inner = natural_type(value);
            open('v', inner);
            write(inner, value);
            return close();
        }
        case 'a':
            return type[1] == '{' ? dictionary(type.substr(2), value) : array(type.substr(1), value);
        default:
            return structure(type.substr(1, type.size() - 2), value);
        }
    }

    int open(char kind, std::string_view contents) {
        if (kind == 'v') {
            grow(1, contents.size() + 2);
        } else if (kind == 'a') {
            grow(4, 4);
            grow(alignment_of(contents[0]), 0);
        } else {
            grow(8, 0);
        }
        if (status_ < 0) return status_;
        return keep(sd_bus_message_open_container(message_, kind, std::string(contents).c_str()));
    }
    int close() { return status_ < 0 ? status_ : keep(sd_bus_message_close_container(message_)); }
    int text(const std::string& text) {
        return text::fits_bus(text) ? append_text('s', text) : append_text('s', text::for_bus(text));
    }
    int status() const { return status_; }

  private:
    int keep(int r) {
        if (status_ >= 0 && r < 0) status_ = r;
        return status_;
    }

    void grow(std::size_t alignment, std::size_t bytes) {
        if (written_.grow(alignment, bytes) > largest_message) keep(-EMSGSIZE);
    }

    int append(char type, const void* value, std::size_t bytes) {
        grow(alignment_of(type), bytes);
        return status_ < 0 ? status_ : keep(sd_bus_message_append_basic(message_, type, value));
    }
    int append_text(char type, const std::string& text) {
        return append(type, text.c_str(), 4 + text.size() + 1);
    }

    template <class T>
    int basic(char type, const Json& value) {
        const T number = value.get<T>();
        return append(type, &number, sizeof number);
    }

    int dictionary(std::string_view rest, const Json& value) {
        const std::string_view element = first_type(rest.substr(1));
        const std::string entry = "s" + std::string(element);
        open('a', "{" + entry + "}");
        for (const auto& [name, inner] : value.items()) {
            if (inner.is_null() && element == "v") continue;
            // Two keys must not become one.
            if (!text::fits_bus(name)) continue;
            open('e', entry);
            text(name);
            write(element, inner);
            close();
        }
        return close();
    }

    int bytes(const std::string& bytes) {
        grow(4, 4 + bytes.size());
        return status_ < 0 ? status_
                           : keep(sd_bus_message_append_array(message_, 'y', bytes.data(), bytes.size()));
    }

    int array(std::string_view element, const Json& value) {
        if (element == "y" && value.is_string()) return bytes(value.get_ref<const std::string&>());
        open('a', element);
        for (const Json& inner : value)
            write(element, inner);
        return close();
    }

    int structure(std::string_view contents, const Json& value) {
        open('r', contents);
        for (const Json& inner : value) {
            const std::string_view element = first_type(contents);
            write(element, inner);
            contents.remove_prefix(element.size());
        }
        return close();
    }

    const Message& written_;
    sd_bus_message* message_;
    int status_ = 0;
};

std::string table_type(const Field* field, const Json& value) {
    if (!field) return natural_type(value);
    if (field->type == FieldType::Command && value.is_string()) return "s";
    if (field->type == FieldType::Size && value.is_number_integer()) return "t";
    return std::string(field->signature);
}

// The path of the first value under `object` that its table does not allow; empty: none.
std::string misfit(std::span<const Field> fields, const std::string& prefix, const Json& object) {
    for (const auto& [name, value] : object.items()) {
        if (value.is_null()) continue;
        std::string path = prefix + name;
        const Field* field = find_field(fields, path);
        if (!field && value.is_object()) {
            if (std::string inner = misfit(fields, path + ".", value); !inner.empty()) return inner;
        } else if (!fits(table_type(field, value), value, {.exact = true}) || !text::fits_bus(name)) {
            return path;
        }
    }
    return {};
}

// The objects of an answer. One value that does not fit is left out: it must not take the others along.
class TableWriter {
  public:
    explicit TableWriter(const Message& message) : writer_(message) {}

    void list(std::span<const Field> fields, const Json& rows, unsigned depth = 0) {
        writer_.open('a', "a{sv}");
        for (const Json& row : rows)
            if (row.is_object()) table(fields, "", row, depth + 1);
        writer_.close();
    }

    void list(std::span<const Field> fields, const Rows& rows) {
        writer_.open('a', "a{sv}");
        rows([&](const Json& row) {
            if (row.is_object()) table(fields, "", row, 1);
        });
        writer_.close();
    }

    void table(std::span<const Field> fields, const std::string& prefix, const Json& object,
               unsigned depth = 0) {
        writer_.open('a', "{sv}");
        for (const auto& [name, value] : object.items()) {
            if (value.is_null() || !text::fits_bus(name)) continue;
            const std::string path = prefix + name;
            const Field* field = find_field(fields, path);
            const std::string type = table_type(field, value);
            const auto members = field && field->members ? field->members() : std::span<const Field>();
            const bool nested =
                (type == "a{sv}" && value.is_object()) || (type == "aa{sv}" && value.is_array());
            // A level deeper than the reader follows it would cost the whole message.
            const CodecLimits limits;
            if (nested ? depth + 1 >= limits.depth : !Checker(limits).check(type, value, depth + 1)) continue;
            writer_.open('e', "sv");
            writer_.text(name);
            writer_.open('v', type);
            if (type == "aa{sv}")
                list(members, value, depth + 1);
            else if (type == "a{sv}" && !members.empty())
                table(members, "", value, depth + 1);
            else if (type == "a{sv}")
                table(fields, path + ".", value, depth + 1);
            else
                writer_.write(type, value);
            writer_.close();
            writer_.close();
        }
        writer_.close();
    }

    const Writer& writer() const { return writer_; }

  private:
    Writer writer_;
};

Result<void> done(const Writer& writer) {
    if (writer.status() == -EMSGSIZE) return std::unexpected(too_large());
    if (writer.status() < 0) return std::unexpected(bus_error("writing a D-Bus message", writer.status()));
    return {};
}

} // namespace

bool fits(std::string_view type, const Json& value, const CodecLimits& limits) {
    return first_type(type).size() == type.size() && Checker(limits).check(type, value, 0);
}

Result<void> write_value(const Message& message, std::string_view type, const Json& value,
                         const CodecLimits& limits) {
    if (!fits(type, value, limits))
        return fail(ErrorCode::InvalidSpec,
                    "a value does not fit the D-Bus type '" + std::string(type) + "' or is too big");
    Writer writer(message);
    writer.write(type, value);
    return done(writer);
}

Result<void> write_dictionary(const Message& message, const Json& object, const CodecLimits& limits) {
    return write_value(message, "a{sv}", object, limits);
}

Result<void> write_spec(const Message& message, const Json& document) {
    const std::string wrong = document.is_object() ? misfit(spec_fields(), "", document) : "spec";
    if (!wrong.empty() || !fits("v", document))
        return fail(ErrorCode::InvalidSpec, "key '" + wrong + "' has a value of a wrong type");
    return write_fields(message, spec_fields(), document);
}

Result<void> write_fields(const Message& message, std::span<const Field> fields, const Json& object) {
    TableWriter tables(message);
    tables.table(fields, "", object.is_object() ? object : Json::object());
    return done(tables.writer());
}

Result<void> write_field_list(const Message& message, std::span<const Field> fields, const Json& list) {
    TableWriter tables(message);
    tables.list(fields, list.is_array() ? list : Json::array());
    return done(tables.writer());
}

Result<void> write_field_list(const Message& message, std::span<const Field> fields, const Rows& rows) {
    TableWriter tables(message);
    tables.list(fields, rows);
    return done(tables.writer());
}

Result<void> write_nothing(const Message& message, std::string_view type) {
    Json nothing = 0;
    if (type == "s") nothing = "";
    if (type == "o") nothing = "/";
    if (type == "b") nothing = false;
    if (type == "d") nothing = 0.0;
    if (type.starts_with("a")) nothing = type.starts_with("a{") ? Json::object() : Json::array();
    return write_value(message, type, nothing);
}

} // namespace p2prc::dbus
