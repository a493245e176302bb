// org.freedesktop.LogControl1: what `systemctl service-log-level p2prcd debug` talks to.
#pragma once

#include "dbus/object.h"

namespace p2prc::daemon {

inline constexpr const char* log_control_path = "/org/freedesktop/LogControl1";

// Interface as in org.freedesktop.LogControl1(5); `identifier` is the program's.
dbus::Interface log_control(std::string identifier);

} // namespace p2prc::daemon
