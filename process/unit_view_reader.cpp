#include "process/unit_view_reader.h"

#include "core/bind_rule.h"
#include "core/encoding.h"
#include "dbus/message.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <charconv>

namespace p2prc::process {
namespace {

constexpr const char* notify_type = "notify";

int read_text(sd_bus_message* message, std::string& out) {
    const char* text = nullptr;
    const int result = sd_bus_message_read(message, "v", "s", &text);
    if (result > 0) out = text;
    return result;
}

template <class T>
int read_number(sd_bus_message* message, const char* signature, T& out) {
    return sd_bus_message_read(message, "v", signature, &out);
}

int read_invocation(sd_bus_message* message, std::string& out) {
    int result = sd_bus_message_enter_container(message, 'v', "ay");
    if (result <= 0) return result;
    const void* bytes = nullptr;
    std::size_t size = 0;
    result = sd_bus_message_read_array(message, 'y', &bytes, &size);
    if (result < 0) return result;
    const ByteView id(static_cast<const std::uint8_t*>(bytes), size);
    bool set = false;
    for (const auto byte : id)
        set = set || byte != 0;
    out = set ? to_hex(id) : std::string();
    return sd_bus_message_exit_container(message);
}

int read_journal_fields(sd_bus_message* message, UnitView& view) {
    int result = sd_bus_message_enter_container(message, 'v', "aay");
    if (result <= 0) return result;
    result = sd_bus_message_enter_container(message, 'a', "ay");
    if (result < 0) return result;
    const void* bytes = nullptr;
    std::size_t size = 0;
    while ((result = sd_bus_message_read_array(message, 'y', &bytes, &size)) > 0)
        apply_journal_field({static_cast<const char*>(bytes), size}, view);
    if (result < 0) return result;
    result = sd_bus_message_exit_container(message);
    return result < 0 ? result : sd_bus_message_exit_container(message);
}

int read_bind_programs(sd_bus_message* message, UnitView& view) {
    int result = sd_bus_message_enter_container(message, 'v', "a(ss)");
    if (result <= 0) return result;
    result = sd_bus_message_enter_container(message, 'a', "(ss)");
    if (result < 0) return result;
    const char *attached = nullptr, *path = nullptr;
    while ((result = sd_bus_message_read(message, "(ss)", &attached, &path)) > 0)
        view.bind_rule = rule_of_bind_program(path);
    if (result < 0) return result;
    result = sd_bus_message_exit_container(message);
    return result < 0 ? result : sd_bus_message_exit_container(message);
}

int read_property(sd_bus_message* message, std::string_view name, UnitView& view, UnitOrigin* origin) {
    if (name == "ActiveState") return read_text(message, view.active_state);
    if (name == "SubState") return read_text(message, view.sub_state);
    if (name == "InvocationID") return read_invocation(message, view.invocation);
    if (name == "StateChangeTimestamp") return read_number(message, "t", view.changed_at);
    if (name == "MainPID") return read_number(message, "u", view.main_pid);
    if (name == "NRestarts") return read_number(message, "u", view.restarts);
    if (name == "Type") {
        std::string type;
        const int result = read_text(message, type);
        if (result > 0) view.result.notifies = type == notify_type;
        return result;
    }
    if (name == "Result") return read_text(message, view.result.result);
    if (name == "ExecMainCode") return read_number(message, "i", view.result.code);
    if (name == "ExecMainStatus") return read_number(message, "i", view.result.status);
    if (name == "LogExtraFields") return read_journal_fields(message, view);
    if (name == "BPFProgram") return read_bind_programs(message, view);
    if (name == "WatchdogUSec") return read_number(message, "t", view.watchdog_usec);
    if (name == "FreezerState") {
        std::string state;
        const int result = read_text(message, state);
        if (result > 0) view.frozen = state == "frozen";
        return result;
    }
    if (origin && name == "Slice") return read_text(message, origin->slice);
    if (origin && name == "Transient") {
        int flag = 0;
        const int result = read_number(message, "b", flag);
        origin->transient = flag != 0;
        return result;
    }
    return sd_bus_message_skip(message, "v");
}

} // namespace

void apply_journal_field(std::string_view field, UnitView& view) {
    const auto equals = field.find('=');
    if (equals == std::string_view::npos) return;
    const auto name = field.substr(0, equals);
    const auto value = field.substr(equals + 1);
    if (name == field_process) std::from_chars(value.data(), value.data() + value.size(), view.process);
    if (name == field_digest) view.digest = value;
}

void apply_properties(const std::vector<UnitProperty>& properties, UnitView& view) {
    for (const auto& property : properties) {
        if (property.name == "LogExtraFields")
            for (const auto& field : property.value)
                apply_journal_field(field.get_ref<const std::string&>(), view);
        if (property.name == "Type") view.result.notifies = property.value == notify_type;
        if (property.name == "BPFProgram")
            for (const auto& program : property.value)
                view.bind_rule = rule_of_bind_program(program.at(1).get_ref<const std::string&>());
    }
}

Result<void> read_unit_properties(sd_bus_message* message, UnitView& view, UnitOrigin* origin) {
    const auto checked = [](int result) -> Result<void> {
        if (result < 0)
            return std::unexpected(dbus::bus_error("cannot read the properties of a unit", result));
        return {};
    };
    const std::string sub_state = view.sub_state;
    const bool timed_out = view.result.result == "timeout";
    int result = sd_bus_message_enter_container(message, 'a', "{sv}");
    if (result < 0) return checked(result);
    while ((result = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
        const char* name = nullptr;
        result = sd_bus_message_read(message, "s", &name);
        if (result >= 0) result = read_property(message, name, view, origin);
        if (result >= 0) result = sd_bus_message_exit_container(message);
        if (result < 0) return checked(result);
    }
    if (result >= 0) result = sd_bus_message_exit_container(message);
    // Where a timeout came is only known from the state before it: all of them end in a stop.
    if (!timed_out && view.result.result == "timeout") view.result.step = sub_state;
    return checked(result);
}

} // namespace p2prc::process
