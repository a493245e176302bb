// The names of systemd on the bus (org.freedesktop.systemd1(5)) that we use.
#pragma once

namespace p2prc::dbus::systemd {

inline constexpr const char* service = "org.freedesktop.systemd1";
inline constexpr const char* path = "/org/freedesktop/systemd1";
inline constexpr const char* unit_prefix = "/org/freedesktop/systemd1/unit";
inline constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";
inline constexpr const char* unit_interface = "org.freedesktop.systemd1.Unit";
inline constexpr const char* service_interface = "org.freedesktop.systemd1.Service";
inline constexpr const char* properties_interface = "org.freedesktop.DBus.Properties";

// Errors.
inline constexpr const char* no_such_unit = "org.freedesktop.systemd1.NoSuchUnit";
inline constexpr const char* unit_exists = "org.freedesktop.systemd1.UnitExists";
inline constexpr const char* unit_masked = "org.freedesktop.systemd1.UnitMasked";
inline constexpr const char* already_subscribed = "org.freedesktop.systemd1.AlreadySubscribed";

} // namespace p2prc::dbus::systemd
