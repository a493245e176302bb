// The objects of edge and connector: what each of the two may ask, and when it is told that there is
// something newer.
#pragma once

#include "core/route_table.h"
#include "daemon/api/method.h"
#include "daemon/api/serving.h"
#include "daemon/api/status.h"
#include "daemon/api/view.h"
#include "daemon/fleet/control.h"
#include "net/event.h"
#include "state/own_state.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Gets a certificate for a domain from the ACME directory `acme`; returns when the client is done.
using IssueCertificate =
    std::function<boost::asio::awaitable<Result<void>>(std::string domain, std::string acme)>;

// Clients of a mapping: those that are connected, and the bytes of all since the connector began.
struct MappingTraffic {
    std::uint64_t connections = 0;
    std::uint64_t received_bytes = 0;
    std::uint64_t sent_bytes = 0;
};

class Helpers {
  public:
    // All must outlive it.
    Helpers(dbus::Bus& bus, FleetControl& fleet, const View& view, state::OwnState& own,
            Authorisation& rights, IssueCertificate issue, Accepts accepts, Ports ports);
    ~Helpers();

    static std::span<const MethodRow<Helpers>> rows() noexcept;
    Result<void> publish();
    const HelperReports& reports() const { return reports_; }
    // Has the connector report what its clients have sent and got; returns when it has, or is not there.
    boost::asio::awaitable<void> ask_traffic();
    // By its last report; nothing: there is none of this mapping.
    std::optional<MappingTraffic> traffic(std::uint32_t mapping) const;

  private:
    Reply register_edge(Request request);
    Reply register_connector(Request request);
    Reply register_key(std::string kind, Request request);
    Reply routes(Request request);
    Reply mappings(Request request);
    Reply publish_challenge(Request request);
    Reply remove_challenge(Request request);
    Reply challenge(std::string method, Request request);
    Reply issue(Request request);
    Reply sign(Request request);
    Reply report_certificate(Request request);
    Reply report_serving(Request request);
    Reply report_edge(Request request);
    Reply report_connector(Request request);
    Reply report_traffic(Request request);
    Reply report_status(Json& report, Request request);
    void connector_came(const std::string& connection);
    void edge_came(const std::string& connection);
    void read_edge();
    void set_edge(bool up, const std::string& detail);
    void note_role();
    void set_tunnel(bool up, const std::string& detail);
    void set_up_or_down(const std::string& key, bool up, const std::string& detail);
    void read_tunnel();

    dbus::Interface edge_interface();
    dbus::Interface connector_interface();
    Result<void> publish_at_former_paths();
    Result<DomainRecord> own_mapping(const std::string& domain) const;
    void follow();
    void all_changed();
    void domains_changed(std::span<const state::Change> changes);
    void processes_changed(std::span<const state::Change> changes);
    bool is_here(const state::Change& change) const;
    void refresh_soon();
    void refresh();
    void take_routes(RouteTable routes, std::uint64_t left_out);
    void refresh_routes();
    void refresh_all_routes();
    void mappings_changed();
    void forget_certificates();
    void tell(const std::string& to, const char* path, const char* interface, const char* member);

    dbus::Bus* bus_;
    FleetControl* fleet_;
    const View* view_;
    state::OwnState* own_;
    Authorisation* rights_;
    IssueCertificate issue_;
    HelperReports reports_;
    // The connections that registered last: signals go to them alone.
    std::string edge_;
    std::string connector_;
    RouteTable routes_;
    unsigned behind_ = 0;            // reports of the edge in a row that had an older table
    Json document_ = Json::object(); // the connector's
    Serving serving_;
    std::map<std::uint32_t, MappingTraffic> traffic_;
    std::vector<std::shared_ptr<net::Event>> traffic_waiting_;
    bool silent_ = false; // the connector has not answered the last question, and is not waited for
    dbus::Registration connector_watch_;
    dbus::Registration edge_watch_;
    std::vector<dbus::Registration> registrations_;
    std::vector<state::Subscription> subscriptions_;
    net::OneShotTimer refresh_;
    std::chrono::steady_clock::time_point not_before_{}; // the next refresh
    bool routes_stale_ = false;                          // all of them
    std::set<std::string> changed_routes_;               // these names
    bool mappings_stale_ = false;
};

} // namespace p2prc::daemon
