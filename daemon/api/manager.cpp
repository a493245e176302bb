#include "daemon/api/manager.h"

#include "daemon/api/events.h"
#include "dbus/codec.h"
#include "dbus/names.h"

#include <utility>

namespace p2prc::daemon {

namespace {

constexpr dbus::Emits constant = dbus::Emits::Constant, changes = dbus::Emits::Change;

std::vector<std::string> features() {
    return {"fleet", "tunnel", "acme", "web-ca", "dns"};
}

} // namespace

Manager::Manager(const Services& services)
    : services_(services)
    , processes_(services)
    , domains_(services)
    , fleet_(services) {}

dbus::Interface Manager::interface() {
    announced_node_ = services_.view.node();
    announced_reachable_ = services_.fleet.gateway().reachable();
    const auto property = [](const char* name, const char* type, dbus::Emits emits, auto value) {
        return dbus::Property{name, type, emits,
                              [type, value](const std::string&, const dbus::Message& reply) {
                                  return dbus::write_value(reply, type, value());
                              }};
    };
    dbus::Interface result{dbus::names::manager_interface};
    result.methods = methods("Manager");
    result.properties = {
        property("Version", "s", constant, [] { return P2PRC_VERSION; }),
        property("Features", "as", constant, &features),
        property("NodeName", "s", changes, [this] { return services_.view.node(); }),
        property("Reachable", "b", changes, [this] { return services_.fleet.gateway().reachable(); }),
    };
    result.signals.push_back(Events::signal());
    return result;
}

std::vector<dbus::Method> Manager::methods(std::string_view interface) {
    const MethodContext context{services_.rights, services_.view};
    std::vector<dbus::Method> methods;
    add_methods(methods, context, interface, processes_);
    add_methods(methods, context, interface, domains_);
    add_methods(methods, context, interface, fleet_);
    return methods;
}

void Manager::announce() {
    std::vector<std::string> names;
    if (std::exchange(announced_node_, services_.view.node()) != announced_node_)
        names.emplace_back("NodeName");
    const bool reachable = services_.fleet.gateway().reachable();
    if (std::exchange(announced_reachable_, reachable) != reachable) names.emplace_back("Reachable");
    if (!names.empty())
        (void)services_.bus.emit_properties_changed(dbus::names::root_path, dbus::names::manager_interface,
                                                    names);
}

} // namespace p2prc::daemon
