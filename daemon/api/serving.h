// What this node's connector may dial, looked up and kept up to date: mappings of processes that this node
// accepted and runs, and whose own listener has the port; and whether visitors of each domain are served.
#pragma once

#include "core/availability.h"
#include "core/records.h"
#include "daemon/api/view.h"
#include "net/one_shot_timer.h"
#include "process/port_target.h"
#include "state/own_state.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Whether this node lets a process of the agreed state run here at all: `[remote] spin`.
using Accepts = std::function<Result<void>(const ProcessRecord&)>;

// What this machine knows: who listens at what, and in which boot.
struct Ports {
    std::function<Result<std::vector<net::Listener>>()> listeners = net::tcp_listeners;
    std::function<process::UnitSockets(const std::string& process)> unit = [](const std::string& process) {
        return process::unit_sockets(process);
    };
    // The present boot, as statuses name it.
    std::function<std::string()> boot_id = [] { return std::string(); };
};

class Serving {
  public:
    // View and own state must outlive it. `changed` is called when mappings() says something else.
    Serving(boost::asio::any_io_executor executor, const View& view, state::OwnState& own, Accepts accepts,
            Ports ports, std::function<void()> changed);
    ~Serving();

    // Agreed state has changed: which mappings are this node's.
    void read();
    // Looks at the ports now.
    void look();
    // The same within `wait`, together with whatever else asks for it.
    void look_soon(std::chrono::milliseconds wait = {});

    // [{id, domain, port, tls, availability, hold_ms, address, groups}] of this node's mappings; without
    // `address` nobody is there to be dialled now.
    const Json& mappings() const { return mappings_; }

    // What the connector saw of a domain's visitors: "ok", "failing" or "unknown".
    void report(const std::string& domain, const std::string& state, const std::string& reason);
    // What it said does not count any more.
    void forget_reports();

  private:
    struct Report {
        std::string state = "unknown";
        std::string reason;
    };
    struct Served {
        DomainRecord domain;
        std::uint32_t process = 0; // its id
        std::uint16_t port = 0;    // of what runs, while an update has another one started beside it
        std::string refused;       // why this node does not run it
        std::chrono::milliseconds hold{};
        bool ready_by_port = true; // to listen is to be ready
        Availability availability = Availability::Coming;
        process::PortTarget target;
        // When its process began to run without being there for visitors; nothing while it is.
        std::optional<std::chrono::steady_clock::time_point> missed;
    };

    void look_at(Served& served, std::span<const net::Listener> listeners);
    bool runs(const Served& served) const;
    std::uint16_t port_of(const Served& served) const;
    bool may_be_dialled(const Served& served) const;
    Availability availability_of(const Served& served) const;
    static std::chrono::milliseconds hold_of(const Served& served);
    void write(const Served& served);
    void schedule();

    const View* view_;
    state::OwnState* own_;
    Accepts accepts_;
    Ports ports_;
    std::function<void()> changed_;
    net::OneShotTimer soon_;  // somebody has asked for a look
    net::OneShotTimer again_; // the next look by itself
    std::chrono::milliseconds pause_;
    std::vector<Served> served_;
    std::map<std::string, Report> reports_;
    Json mappings_ = Json::array();
};

} // namespace p2prc::daemon
