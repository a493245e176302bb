// What the methods of all families work with.
#pragma once

#include "daemon/api/actions.h"
#include "daemon/api/authorisation.h"
#include "daemon/api/owners.h"
#include "daemon/api/status.h"
#include "daemon/api/view.h"
#include "daemon/fleet/control.h"
#include "dbus/bus.h"
#include "process/usage.h"

#include <functional>

namespace p2prc::daemon {

// All of it outlives the methods.
struct Services {
    dbus::Bus& bus;
    FleetControl& fleet;
    const View& view;
    Actions& actions;
    const Owners& owners;
    Authorisation& rights;
    std::function<HelperReports()> reports;
    // Fills memory and processor time of what runs here into a process's document.
    std::function<void(Json&, process::BriefUsages&)> measure;
    // Called before a path is answered, so that the object can be found.
    std::function<void()> before_path;
    // Called when this node's name, or its fleet, may have changed.
    std::function<void()> fleet_changed;
};

} // namespace p2prc::daemon
