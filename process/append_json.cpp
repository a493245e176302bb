#include "process/append_json.h"

#include "dbus/message.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

namespace p2prc::process {
namespace {

using nlohmann::json;

// Length of the complete type at the beginning of `signature`.
std::size_t type_length(std::string_view signature) {
    std::size_t at = 0;
    while (at < signature.size() && signature[at] == 'a')
        ++at;
    if (at >= signature.size()) return signature.size();
    if (signature[at] != '(') return at + 1;
    for (int depth = 0; at < signature.size(); ++at) {
        if (signature[at] == '(') ++depth;
        if (signature[at] == ')' && --depth == 0) return at + 1;
    }
    return signature.size();
}

Result<void> written(int result) {
    if (result < 0) return std::unexpected(dbus::bus_error("cannot write a unit's property", result));
    return {};
}

Result<void> misfit(std::string_view signature, const json& value) {
    return fail(ErrorCode::InvalidSpec,
                fmt::format("a unit's property of type '{}' cannot be {}", signature, value.dump()));
}

Result<void> append_array(sd_bus_message* message, std::string_view element, const json& value) {
    if (element == "y") {
        if (!value.is_string()) return misfit("ay", value);
        const auto& text = value.get_ref<const std::string&>();
        return written(sd_bus_message_append_array(message, 'y', text.data(), text.size()));
    }
    if (!value.is_array()) return misfit(element, value);
    if (auto opened = written(sd_bus_message_open_container(message, 'a', std::string(element).c_str()));
        !opened)
        return opened;
    for (const auto& item : value)
        if (auto done = append_json(message, element, item); !done) return done;
    return written(sd_bus_message_close_container(message));
}

Result<void> append_structure(sd_bus_message* message, std::string_view members, const json& value) {
    if (!value.is_array()) return misfit(members, value);
    if (auto opened = written(sd_bus_message_open_container(message, 'r', std::string(members).c_str()));
        !opened)
        return opened;
    for (const auto& item : value) {
        const auto length = type_length(members);
        if (length == 0) return misfit("()", value);
        if (auto done = append_json(message, members.substr(0, length), item); !done) return done;
        members.remove_prefix(length);
    }
    if (!members.empty()) return misfit(members, value);
    return written(sd_bus_message_close_container(message));
}

Result<void> append_basic(sd_bus_message* message, char type, const json& value) {
    switch (type) {
    case 's':
    case 'o':
        if (!value.is_string()) break;
        return written(
            sd_bus_message_append_basic(message, type, value.get_ref<const std::string&>().c_str()));
    case 'b': {
        if (!value.is_boolean()) break;
        const int flag = value.get<bool>();
        return written(sd_bus_message_append_basic(message, type, &flag));
    }
    case 'q': {
        if (!value.is_number_integer()) break;
        const auto number = value.get<std::uint16_t>();
        return written(sd_bus_message_append_basic(message, type, &number));
    }
    case 'u': {
        if (!value.is_number_integer()) break;
        const auto number = value.get<std::uint32_t>();
        return written(sd_bus_message_append_basic(message, type, &number));
    }
    case 'i': {
        if (!value.is_number_integer()) break;
        const auto number = value.get<std::int32_t>();
        return written(sd_bus_message_append_basic(message, type, &number));
    }
    case 't': {
        if (!value.is_number_integer()) break;
        const auto number = value.get<std::uint64_t>();
        return written(sd_bus_message_append_basic(message, type, &number));
    }
    default:
        break;
    }
    return misfit(std::string_view(&type, 1), value);
}

} // namespace

Result<void> append_json(sd_bus_message* message, std::string_view signature, const json& value) {
    if (signature.empty() || type_length(signature) != signature.size()) return misfit(signature, value);
    if (signature.front() == 'a') return append_array(message, signature.substr(1), value);
    if (signature.front() == '(')
        return append_structure(message, signature.substr(1, signature.size() - 2), value);
    return append_basic(message, signature.front(), value);
}

} // namespace p2prc::process
