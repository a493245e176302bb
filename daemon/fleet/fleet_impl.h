// The implementation of Fleet; only for daemon/fleet/fleet*.cpp.
#pragma once

#include "daemon/fleet/fleet.h"
#include "daemon/fleet/handover_file.h"
#include "daemon/fleet/member.h"
#include "daemon/fleet/node_context.h"
#include "daemon/fleet/offers.h"
#include "daemon/fleet/role_change.h"
#include "daemon/fleet/roles.h"
#include "daemon/fleet/root.h"
#include "link/token.h"
#include "net/event.h"
#include "net/network_changes.h"

namespace p2prc::daemon {

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

    // fleet.cpp
    boost::asio::awaitable<Result<void>> start();
    void watch_state();
    void stop();
    boost::asio::awaitable<void> wait_back();
    bool can_do_alone(const std::string& method, const Json& params) const;
    void forget_killed(std::span<const state::Change> tombstones);
    void fleet_changed() const;
    void rename(const std::string& name);
    void claim_own_state();
    registry::LocalRegistry* registry() const;
    MemberLink* link() const;
    bool is_member() const { return node->settings.root.has_value(); }

    // fleet_info.cpp
    void refresh_info();
    Json look_at_this_machine(bool edge) const;
    boost::asio::awaitable<void> watch_machine(std::shared_ptr<Impl> self);
    boost::asio::awaitable<void> watch_network(std::shared_ptr<Impl> self);

    // fleet_init.cpp
    boost::asio::awaitable<Result<Json>> init(Json options, std::string by);
    boost::asio::awaitable<Result<Json>> invite(std::string role, std::uint64_t seconds, std::string by);
    boost::asio::awaitable<Result<void>> check_ports() const;
    boost::asio::awaitable<Result<void>> turn_on_edge() const;
    void keep_roles();
    boost::asio::awaitable<void> start_units(std::shared_ptr<Impl> self, std::vector<MachineRole> of);

    // fleet_join.cpp
    Result<void> begin(RoleEvent event);
    void make_member();
    boost::asio::awaitable<Result<Json>> join(std::string token, std::string name);
    boost::asio::awaitable<Result<void>> become_member(const link::JoinToken& token, std::string name);
    Result<void> follow_root(const link::JoinToken& token, const std::string& name);
    boost::asio::awaitable<Result<void>> wait_connected(int refusals);
    void end_connecting();
    // Of a member: whether a leave is open.
    RoleEvent membership() const;

    // fleet_leave.cpp
    boost::asio::awaitable<Result<void>> leave(bool force, std::string by);
    boost::asio::awaitable<Result<void>> return_home(Json handover);
    boost::asio::awaitable<Result<void>> open_own_registry(Json handover);
    boost::asio::awaitable<void> finish_leave(std::shared_ptr<Impl> self);
    void settle_leave(bool refused);
    void remove_handover();
    Json export_records() const;

    std::shared_ptr<NodeContext> node;
    RoleChange role_change;
    std::shared_ptr<Root> root;     // while the registry is here
    std::shared_ptr<Member> member; // while it is not
    SwitchGateway gateway;
    Roles roles;
    HandoverFile handover_file;
    Offers offers;
    state::Subscription tombstones;
    state::Subscription process_changes;
    state::Subscription fleet_changes;
    net::Event look_at_machine; // what runs here changed
    std::optional<std::chrono::steady_clock::time_point> last_look;
    std::shared_ptr<net::NetworkChanges> network;
};

// Ends a change of the role, however its coroutine is left: with `event`, unless another one has ended it.
class RoleChangeEnd {
  public:
    RoleChangeEnd(RoleChange& role, RoleEvent event) : role_(role), state_(role.state()), event_(event) {}
    RoleChangeEnd(const RoleChangeEnd&) = delete;
    RoleChangeEnd& operator=(const RoleChangeEnd&) = delete;
    ~RoleChangeEnd() {
        if (role_.is(state_)) (void)role_.take(event_);
    }

  private:
    RoleChange& role_;
    RoleState state_;
    RoleEvent event_;
};

} // namespace p2prc::daemon
