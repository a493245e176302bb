// Tells on the bus what happens in the fleet, as it happens: the signal Event of org.p2prc1.Manager.
//
// What an object was is compared with what it is whenever the state changes, so that each change is told
// once, and at the start nothing is.
#pragma once

#include "core/block_set.h"
#include "core/event_kind.h"
#include "daemon/api/view.h"
#include "dbus/bus.h"
#include "net/one_shot_timer.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::daemon {

struct EventTiming {
    // A domain or an edge that is down for less is not told of: it was restarted.
    std::chrono::steady_clock::duration grace = std::chrono::seconds(20);
    // What one node's objects may have told in a row, and from then on: a node that makes its processes
    // flicker fills no bus. What is more is told later, as it is by then.
    unsigned burst = 100;
    std::chrono::steady_clock::duration every = std::chrono::milliseconds(100);
};

class Events {
  public:
    // `bus` and the states of `view` must outlive it.
    Events(dbus::Bus& bus, const View& view, EventTiming timing = {});

    static dbus::Signal signal();
    // What is so now is known; what changes from here on is told.
    void start();

  private:
    enum class Kind { Process, Node, Domain, Edge };
    using Object = std::pair<Kind, std::string>; // and its id, as Objects has it
    // Unknown: it was not good when this began to look, which may be for a moment only.
    enum class Health { Unknown, Good, Bad };

    // Records are those of the replica, not copies of them: there are tens of thousands.
    struct Process {
        std::shared_ptr<const ProcessRecord> record;
        ProcessState state = ProcessState::Starting; // Running, Stopped, Failed or Paused once it was
        std::size_t since = 0;                       // digest of the time when it got into that state
        std::size_t stopped = 0;                     // of the time of its last stop
    };
    struct Domain {
        std::shared_ptr<const DomainRecord> record;
        Health health = Health::Unknown;
    };
    struct ById {
        static std::uint32_t id_of(const Process& process) { return process.record->id; }
        static std::uint32_t id_of(std::uint32_t id) { return id; }
        bool operator()(const auto& one, const auto& other) const { return id_of(one) < id_of(other); }
    };
    struct ByName {
        static std::string_view name_of(const Domain& domain) { return domain.record->domain; }
        static std::string_view name_of(std::string_view name) { return name; }
        bool operator()(const auto& one, const auto& other) const { return name_of(one) < name_of(other); }
    };
    struct Event {
        EventKind kind;
        std::string object;
        std::string time; // RFC 3339; empty: now
        Json details;
    };
    // Of one node: what of its objects is to be looked at, and how much of that may be told now.
    struct Share {
        std::set<Object> waiting;
        Object last; // the one looked at last: all take turns
        unsigned room = 0;
        std::chrono::steady_clock::time_point refilled{};
    };

    void changed(std::span<const state::Change> changes);
    void remember_all();
    void note_all();
    void note(Object object);
    std::string node_of(const Object& object) const;
    void look();
    void refill(Share& share, std::chrono::steady_clock::time_point now) const;
    void arm();

    void look_at(const Object& object, std::vector<Event>& events);
    void look_at_process(const std::string& id, std::vector<Event>& events);
    void look_at_node(const std::string& name, std::vector<Event>& events);
    void look_at_domain(const Object& object, std::vector<Event>& events);
    void look_at_edge(const Object& object, std::vector<Event>& events);
    // What follows from whether it is good now; nothing: no change to tell.
    std::optional<bool> turned(const Object& object, Health& health, bool good, bool at_once);
    Process read(const ProcessRecord& record) const;
    Event killed(const ProcessRecord& process) const;
    Event process_event(EventKind kind, const ProcessRecord& record, std::string time) const;
    void tell(const Event& event);

    dbus::Bus* bus_;
    const View* view_;
    EventTiming timing_;
    BlockSet<Process, ById> processes_;
    std::set<std::uint32_t> killed_;      // of them, those whose tombstone has come
    std::map<std::string, Health> nodes_; // Bad: lost
    BlockSet<Domain, ByName> domains_;
    Health edge_ = Health::Unknown;
    std::map<std::string, Share> shares_;
    // When those that are not good any more have been so for long enough.
    std::map<Object, std::chrono::steady_clock::time_point> due_;
    bool another_fleet_ = false;
    net::OneShotTimer soon_;
    net::OneShotTimer later_;
    std::vector<state::Subscription> subscriptions_;
};

} // namespace p2prc::daemon
