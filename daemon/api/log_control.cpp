#include "daemon/api/log_control.h"

#include "dbus/codec.h"
#include "net/log.h"

#include <nlohmann/json.hpp>

#include <array>
#include <utility>

namespace p2prc::daemon {

namespace {

using net::LogLevel;

// Names of syslog(3). Ours begin with error; what is more urgent shows as that.
constexpr std::array<std::pair<std::string_view, LogLevel>, 5> levels{{
    {"err", LogLevel::Error},
    {"warning", LogLevel::Warning},
    {"notice", LogLevel::Notice},
    {"info", LogLevel::Info},
    {"debug", LogLevel::Debug},
}};

std::string level_name() {
    for (const auto& [name, level] : levels)
        if (level == net::log_level()) return std::string(name);
    return "info";
}

Result<void> set_level(const dbus::Message& value) {
    const auto text = dbus::read_value(value);
    if (!text) return std::unexpected(text.error());
    for (const auto& [name, level] : levels)
        if (*text == name) {
            net::set_log_level(level);
            return {};
        }
    return fail(ErrorCode::InvalidSpec, "there is no log level " + text->dump(),
                "the levels are err, warning, notice, info, debug");
}

} // namespace

dbus::Interface log_control(std::string identifier) {
    dbus::Interface result{"org.freedesktop.LogControl1"};
    result.properties.push_back(
        {"LogLevel", "s", dbus::Emits::Nothing,
         [](const std::string&, const dbus::Message& reply) {
             return dbus::write_value(reply, "s", level_name());
         },
         [](const std::string&, const dbus::Message& value) { return set_level(value); }});
    result.properties.push_back(
        {"LogTarget", "s", dbus::Emits::Nothing, [](const std::string&, const dbus::Message& reply) {
             return dbus::write_value(reply, "s", "journal");
         }});
    result.properties.push_back({"SyslogIdentifier", "s", dbus::Emits::Nothing,
                                 [identifier](const std::string&, const dbus::Message& reply) {
                                     return dbus::write_value(reply, "s", identifier);
                                 }});
    return result;
}

} // namespace p2prc::daemon
