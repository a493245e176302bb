// org.p2prc1.Manager at /org/p2prc1: the methods of all families, also of the objects below it.
#pragma once

#include "daemon/api/domain_methods.h"
#include "daemon/api/fleet_methods.h"
#include "daemon/api/process_methods.h"
#include "daemon/api/services.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

class Manager {
  public:
    // `services` must outlive it.
    explicit Manager(const Services& services);

    // Call it when the fleet has started.
    dbus::Interface interface();
    // Of "Manager", or of the objects of an interface, for Objects.
    std::vector<dbus::Method> methods(std::string_view interface);
    // Announces NodeName and Reachable where they have changed.
    void announce();

  private:
    const Services& services_;
    ProcessMethods processes_;
    DomainMethods domains_;
    FleetMethods fleet_;
    std::string announced_node_;
    bool announced_reachable_ = false;
};

} // namespace p2prc::daemon
