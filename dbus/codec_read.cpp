#include "dbus/codec.h"
#include "dbus/signature.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <cmath>
#include <cstdint>

namespace p2prc::dbus {

namespace {

using Json = nlohmann::json;

class Reader {
  public:
    Reader(sd_bus_message* message, const CodecLimits& limits) : message_(message), limits_(limits) {}

    Result<Json> next(unsigned depth = 0) {
        char type = 0;
        const char* contents = nullptr;
        const int r = sd_bus_message_peek_type(message_, &type, &contents);
        if (r < 0) return std::unexpected(bus_error("reading a D-Bus message", r));
        if (r == 0) return fail(ErrorCode::InvalidSpec, "a D-Bus message ends too early");
        return value(type, contents ? contents : "", depth);
    }

    Result<Json> body() {
        Json all = Json::array();
        while (sd_bus_message_at_end(message_, 1) == 0) {
            auto value = next();
            if (!value) return value;
            all.push_back(std::move(*value));
        }
        return all;
    }

    // A table of the process file whose keys start with `prefix`.
    Result<Json> table(const std::string& prefix, unsigned depth) {
        char type = 0;
        const char* contents = nullptr;
        const int r = sd_bus_message_peek_type(message_, &type, &contents);
        if (r <= 0 || type != 'a' || std::string_view(contents) != "{sv}" || depth > limits_.depth)
            return fail(ErrorCode::InvalidSpec, (prefix.empty() ? "the spec" : "'" + prefix + "'") +
                                                    " must be a D-Bus dictionary, a{sv}");
        return inside('a', contents, [&]() -> Result<Json> {
            Json object = Json::object();
            while (true) {
                const int entered = sd_bus_message_enter_container(message_, 'e', "sv");
                if (entered == 0) return object;
                if (entered < 0) return std::unexpected(bus_error("reading a D-Bus dictionary", entered));
                auto key = read_text('s');
                if (!key) return std::unexpected(key.error());
                const std::string path = prefix.empty() ? *key : prefix + "." + *key;
                if (object.contains(*key))
                    return fail(ErrorCode::InvalidSpec, "key '" + path + "' is there twice");
                auto value = table_value(path, depth);
                if (!value) return value;
                object[*key] = std::move(*value);
                if (const int left = sd_bus_message_exit_container(message_); left < 0)
                    return std::unexpected(bus_error("reading a D-Bus dictionary", left));
            }
        });
    }

  private:
    // The next value, of the one complete type `signature`. Its type is not looked up again: with thousands
    // of values most of the time would go into that.
    Result<Json> of(const std::string& signature, unsigned depth) {
        switch (signature[0]) {
        case 'v':
            return next(depth); // the message says what it holds
        case 'a':
            return value('a', signature.substr(1), depth);
        case '(':
            return value('r', signature.substr(1, signature.size() - 2), depth);
        default:
            return value(signature[0], {}, depth);
        }
    }

    // The next value, of a type as sd_bus_message_peek_type(3) says it.
    Result<Json> value(char type, const std::string& contents, unsigned depth) {
        if (depth > limits_.depth)
            return fail(ErrorCode::InvalidSpec,
                        "a D-Bus value is nested deeper than " + std::to_string(limits_.depth) + " levels");
        if (++values_ > limits_.values)
            return fail(ErrorCode::InvalidSpec, "a D-Bus message has too many values");
        switch (type) {
        case 'y':
            return number<std::uint8_t>(type);
        case 'n':
            return number<std::int16_t>(type);
        case 'q':
            return number<std::uint16_t>(type);
        case 'i':
            return number<std::int32_t>(type);
        case 'u':
            return number<std::uint32_t>(type);
        case 'x':
            return number<std::int64_t>(type);
        case 't':
            return number<std::uint64_t>(type);
        case 'd': {
            auto value = number<double>(type);
            if (value && !std::isfinite(value->get<double>()))
                return fail(ErrorCode::InvalidSpec, "a D-Bus number is not finite");
            return value;
        }
        case 'b': {
            int truth = 0;
            const int got = sd_bus_message_read_basic(message_, type, &truth);
            if (got < 0) return std::unexpected(bus_error("reading a D-Bus boolean", got));
            return Json(truth != 0);
        }
        case 's':
        case 'o':
        case 'g': {
            auto text = read_text(type);
            if (!text) return std::unexpected(text.error());
            return Json(std::move(*text));
        }
        case 'v':
            // As the writer counts: a variant is no level of its own, unless it holds another one.
            return inside('v', contents.c_str(),
                          [&] { return of(contents, depth + (contents[0] == 'v' ? 1 : 0)); });
        case 'r':
            return inside('r', contents.c_str(), [&] { return structure(depth); });
        case 'a':
            if (contents[0] == '{')
                return inside('a', contents.c_str(),
                              [&] { return dictionary(contents.substr(1, contents.size() - 2), depth); });
            return inside('a', contents.c_str(), [&] { return list(contents, depth); });
        default:
            return fail(ErrorCode::InvalidSpec,
                        std::string("a D-Bus value has the unexpected type '") + type + "'");
        }
    }

    template <class T>
    Result<Json> number(char type) {
        T value{};
        const int r = sd_bus_message_read_basic(message_, type, &value);
        if (r < 0) return std::unexpected(bus_error("reading a D-Bus number", r));
        return Json(value);
    }

    Result<std::string> read_text(char type) {
        const char* text = nullptr;
        const int r = sd_bus_message_read_basic(message_, type, static_cast<void*>(&text));
        if (r <= 0) return std::unexpected(bus_error("reading a D-Bus string", r));
        std::string result(text);
        bytes_ += result.size();
        if (bytes_ > limits_.bytes) return fail(ErrorCode::InvalidSpec, "a D-Bus message has too much text");
        return result;
    }

    template <class Read>
    Result<Json> inside(char type, const char* contents, Read read) {
        int r = sd_bus_message_enter_container(message_, type, contents);
        if (r < 0) return std::unexpected(bus_error("reading a D-Bus container", r));
        Result<Json> value = read();
        if (!value) return value;
        r = sd_bus_message_exit_container(message_);
        if (r < 0) return std::unexpected(bus_error("reading a D-Bus container", r));
        return value;
    }

    Result<Json> structure(unsigned depth) {
        return elements([&] { return next(depth + 1); });
    }

    Result<Json> list(const std::string& element, unsigned depth) {
        return elements([&] { return of(element, depth + 1); });
    }

    template <class Read>
    Result<Json> elements(Read read) {
        Json array = Json::array();
        while (sd_bus_message_at_end(message_, 0) == 0) {
            auto element = read();
            if (!element) return element;
            array.push_back(std::move(*element));
        }
        return array;
    }

    // `entry`: the types of key and value.
    Result<Json> dictionary(const std::string& entry, unsigned depth) {
        Json object = Json::object();
        const std::string type = entry.substr(1);
        while (true) {
            const int entered = sd_bus_message_enter_container(message_, 'e', entry.c_str());
            if (entered == 0) return object;
            if (entered < 0) return std::unexpected(bus_error("reading a D-Bus dictionary", entered));
            if (entry[0] != 's' && entry[0] != 'o')
                return fail(ErrorCode::InvalidSpec, "a D-Bus dictionary has keys that are not text");
            auto key = read_text(entry[0]);
            if (!key) return std::unexpected(key.error());
            auto value = of(type, depth + 1);
            if (!value) return value;
            if (const int left = sd_bus_message_exit_container(message_); left < 0)
                return std::unexpected(bus_error("reading a D-Bus dictionary", left));
            const auto [at, added] = object.emplace(std::move(*key), std::move(*value));
            if (!added) return fail(ErrorCode::InvalidSpec, "key '" + at.key() + "' is there twice");
        }
    }

    static bool accepts(const Field& field, std::string_view type) {
        if (type == field.signature) return true;
        if (field.type == FieldType::Command) return type == "s" || type == "as";
        if (field.type == FieldType::IntegerList)
            return type.starts_with("a") && is_integer_type(type.substr(1));
        return is_integer_type(type) && (field.type == FieldType::Size || is_integer_type(field.signature));
    }

    static bool is_table(const std::string& path) {
        for (const Field& field : spec_fields())
            if (field.key.starts_with(path) && field.key.substr(path.size()).starts_with(".")) return true;
        return false;
    }

    Result<Json> table_value(const std::string& path, unsigned depth) {
        char type = 0;
        const char* contents = nullptr;
        const int r = sd_bus_message_peek_type(message_, &type, &contents);
        if (r <= 0) return std::unexpected(bus_error("reading a D-Bus variant", r));
        const std::string actual = contents;
        const bool nested = is_table(path);
        const Field* field = find_field(spec_fields(), path);
        if (field && !nested && !accepts(*field, actual))
            return fail(ErrorCode::InvalidSpec, "key '" + path + "' has the D-Bus type '" + actual +
                                                    "', not '" + std::string(field->signature) + "'");
        return inside('v', actual.c_str(), [&] { return nested ? table(path, depth + 1) : next(depth + 1); });
    }

    sd_bus_message* message_;
    const CodecLimits& limits_;
    std::size_t values_ = 0;
    std::size_t bytes_ = 0;
};

} // namespace

Result<Json> read_value(const Message& message, const CodecLimits& limits) {
    return Reader(message.get(), limits).next();
}

Result<Json> read_body(const Message& message, const CodecLimits& limits) {
    sd_bus_message_rewind(message.get(), 1);
    return Reader(message.get(), limits).body();
}

Result<Json> read_spec(const Message& message, const CodecLimits& limits) {
    return Reader(message.get(), limits).table("", 0);
}

} // namespace p2prc::dbus
