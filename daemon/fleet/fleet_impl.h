// The implementation of Fleet; only for daemon/fleet/fleet*.cpp.
#pragma once

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/luggage.h"
#include "daemon/fleet/offers.h"
#include "daemon/fleet/roles.h"
#include "daemon/fleet/settings.h"
#include "daemon/fleet/upload.h"
#include "daemon/fleet/web_ca.h"
#include "net/event.h"
#include "net/identity.h"
#include "net/network_changes.h"
#include "registry/local_registry.h"
#include "state/fleet_state.h"
#include "state/origins.h"

#include <mutex>

namespace p2prc::daemon {

// One change of membership at a time.
class Changing {
  public:
    explicit Changing(bool& flag) : flag_(flag) { flag_ = true; }
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;
    ~Changing() { flag_ = false; }

  private:
    bool& flag_;
};

Error busy();
// Empty where there is no such text.
std::string text_of(const Json& document, const char* key);

// What DNS says about the addresses of a zone's root.
boost::asio::awaitable<std::vector<net::Endpoint>> look_up_root(std::string zone, std::uint16_t port);

class Fleet::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(boost::asio::any_io_executor executor, state::Disk& disk, state::Replica& replica,
         state::OwnState& own, FleetOptions options);

    // Leads to the registry, wherever it is at the time of the request.
    class SwitchGateway : public registry::Gateway {
      public:
        explicit SwitchGateway(Impl& impl) : impl_(impl) {}
        boost::asio::awaitable<Result<Json>> request(std::string method, Json params) override;
        bool reachable() const override;
        bool connecting() const override;
        Error away() const override;
        std::vector<Error> notices() const override;
        std::optional<Error> upload_trouble() const override;

      private:
        Impl& impl_;
    };

    // The web CA, which the registry asks for on the disk's thread.
    class CaHolder {
      public:
        void set(WebCa ca);
        Result<std::string> sign(const std::string& domain, const std::string& request) const;

      private:
        mutable std::mutex mutex_;
        std::optional<WebCa> ca_;
    };

    // fleet.cpp
    boost::asio::awaitable<Result<void>> start();
    boost::asio::awaitable<void> wait_back();
    bool can_do_alone(const std::string& method, const Json& params) const;
    void forget_killed(std::span<const state::Change> tombstones);
    void fleet_changed() const;
    // fleet_registry.cpp
    // `brought` is what the node takes home from a fleet that it has left.
    boost::asio::awaitable<Result<void>> start_registry(Json brought = Json::object());
    using Documents = std::map<std::string, std::string>;
    boost::asio::awaitable<Result<std::shared_ptr<registry::LocalRegistry>>>
    open_registry(std::optional<Documents> copy = {});
    boost::asio::awaitable<Result<std::shared_ptr<registry::LocalRegistry>>> open_or_mend_registry();
    boost::asio::awaitable<Result<void>> mend_registry();
    Documents copy_of_registry() const;
    boost::asio::awaitable<void> stop_registry();
    Result<void> remove_registry() const;
    Result<void> listen();
    // fleet.cpp
    void start_link();
    void rename(const std::string& name);
    void claim_own_state();
    void stop();

    // fleet_info.cpp
    void refresh_info();
    Json look_at_this_machine(bool edge) const;
    void root_reached(const net::Address& address);
    void measured(std::chrono::microseconds round_trip);
    void clock_seen(std::chrono::milliseconds ahead);
    boost::asio::awaitable<void> watch_machine(std::shared_ptr<Impl> self);
    boost::asio::awaitable<void> watch_network(std::shared_ptr<Impl> self);
    std::vector<net::Endpoint> root_addresses() const;

    // fleet_membership.cpp
    boost::asio::awaitable<Result<Json>> init(Json options, std::string by);
    boost::asio::awaitable<Result<Json>> invite(std::string role, std::uint64_t seconds, std::string by);
    boost::asio::awaitable<Result<void>> check_ports() const;
    boost::asio::awaitable<Result<void>> turn_on_edge() const;
    void keep_roles();
    boost::asio::awaitable<void> start_units(std::shared_ptr<Impl> self, std::vector<MachineRole> of);
    boost::asio::awaitable<Result<Json>> join(std::string token, std::string name);

    // fleet_leave.cpp
    boost::asio::awaitable<Result<void>> leave(bool force, std::string by);
    boost::asio::awaitable<Result<void>> come_home(Json brought);
    boost::asio::awaitable<void> finish_leave(std::shared_ptr<Impl> self);
    boost::asio::awaitable<void> take_home(Json brought);
    void settle_leave(bool refused);
    void unpack();
    bool let_go() const;
    Json luggage() const;

    std::filesystem::path settings_file() const { return options.directory / "fleet.json"; }
    std::filesystem::path registry_file() const { return options.directory / "registry.db"; }
    std::filesystem::path ca_directory() const { return options.directory / "web-ca"; }
    std::optional<FleetRecord> fleet_record() const;

    boost::asio::any_io_executor executor;
    state::Disk& disk;
    state::Replica& replica;
    state::OwnState& own;
    state::Origins origins{own};
    FleetOptions options;
    Roles roles{options.directory / "roles", options.units};
    SwitchGateway gateway;
    std::shared_ptr<CaHolder> ca = std::make_shared<CaHolder>();
    std::optional<net::Identity> identity;
    FleetSettings settings;
    LuggageFile luggage_file{options.directory / "luggage.json"};
    bool changing = false; // init, join or leave is under way
    bool moving = false;   // between two registries: what is written now would stay behind
    bool leaving = false;  // the luggage is packed
    bool stopped = false;
    state::Subscription tombstones;
    state::Subscription process_changes;
    state::Subscription fleet_changes;
    net::Event look_at_machine; // what runs here changed
    std::optional<std::chrono::steady_clock::time_point> last_look;

    // Alone or root.
    std::shared_ptr<registry::LocalRegistry> registry;
    std::shared_ptr<registry::LocalRegistry> opening; // not usable yet
    std::optional<Error> no_registry;                 // why this node goes on without its own
    OpenLogs logs_for_others;                         // the logs of this node, for other nodes
    Offers offers;
    state::Subscription feed;
    std::unique_ptr<Upload> upload;
    std::unique_ptr<Hub> hub;
    std::unique_ptr<link::ControlServer> server;
    // Member.
    std::unique_ptr<MemberLink> link;
    std::string seen_from; // the address that the root saw
    // The private address at which the root was reached last; nothing: a public one, or not known yet.
    std::optional<std::string> root_address;
    std::optional<double> latency_ms;
    std::optional<std::chrono::milliseconds> clock_ahead; // of the root's
    std::shared_ptr<net::NetworkChanges> network;
};

} // namespace p2prc::daemon
