// org.p2prc1.Manager at /org/p2prc1, and the methods of the objects below it.
#pragma once

#include "daemon/api/actions.h"
#include "daemon/api/authorisation.h"
#include "daemon/api/method.h"
#include "daemon/api/objects.h"
#include "daemon/api/status.h"
#include "daemon/fleet/control.h"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string>

namespace p2prc::daemon {

class Manager {
  public:
    struct Parts {
        dbus::Bus& bus;
        FleetControl& fleet;
        const View& view;
        Actions& actions;
        Authorisation& rights;
        std::function<HelperReports()> reports;
        // Fills memory and processor time of what runs here into a process's document.
        std::function<void(Json&)> measure;
    };
    explicit Manager(Parts parts);

    // Call it when the fleet has started.
    dbus::Interface interface();
    // Methods of the objects themselves, for Objects.
    std::vector<dbus::Method> process_methods();
    std::vector<dbus::Method> node_methods();
    std::vector<dbus::Method> domain_methods();

    // Set before the first call comes: called before a path is answered, so that the object can be found.
    std::function<void()> before_path = [] {};
    // Announces NodeName and Reachable where they have changed.
    void announce();

  private:
    using Reply = boost::asio::awaitable<Result<Answer>>;
    Reply spin(Request request);
    Reply act(Verb verb, std::string process, Caller caller, Json options = Json::object());
    Reply information(Request request);
    Reply list(Json documents, std::span<const Field> fields);
    Reply logs(Request request);
    Reply map_domain(Request request);
    Reply unmap_domain(std::string domain, Caller caller);
    Reply remove_node(std::string name, Caller caller);
    Reply init(Request request);
    Reply invite(Request request);
    Reply join(Request request);
    Reply leave(Request request);
    Reply certificate();
    Reply records(std::string zone);

    Json processes() const;
    void add_process_verbs(std::vector<dbus::Method>& methods);
    void add_fleet_verbs(std::vector<dbus::Method>& methods);

    Parts parts_;
    std::string announced_node_;
    bool announced_reachable_ = false;
};

} // namespace p2prc::daemon
