#include "daemon/api/events.h"

#include "core/fields.h"
#include "core/json_members.h"
#include "core/text.h"
#include "daemon/api/concerned.h"
#include "daemon/api/documents.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "net/clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <iterator>

namespace p2prc::daemon {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t longest_quote = 300;

std::size_t digest(const std::string& text) {
    return text.empty() ? 0 : std::hash<std::string>()(text);
}

std::string_view verb(EventKind kind) {
    switch (kind) {
    case EventKind::ProcessRunning:
        return "runs";
    case EventKind::ProcessFailed:
        return "failed";
    case EventKind::ProcessKilled:
        return "was killed";
    default:
        return "stopped";
    }
}

// A member is in one fleet at a time; another one has other processes.
bool is_another_fleet(const state::Change& change) {
    if (change.key != keys::fleet) return false;
    const auto root = [](const std::optional<Json>& document) {
        return document ? json::member<std::string>(*document, "root") : std::string();
    };
    return root(change.before) != root(change.value);
}

} // namespace

Events::Events(dbus::Bus& bus, const View& view, EventTiming timing)
    : bus_(&bus)
    , view_(&view)
    , timing_(timing)
    , soon_(bus.executor())
    , later_(bus.executor()) {}

dbus::Signal Events::signal() {
    return {"Event", {{"t", "time"}, {"s", "kind"}, {"o", "object"}, {"a{sv}", "details"}}};
}

void Events::start() {
    remember_all();
    const auto follow = [this](std::span<const state::Change> changes) { changed(changes); };
    subscriptions_.push_back(view_->replica().subscribe("/", follow));
    subscriptions_.push_back(view_->own().subscribe("/", follow));
}

void Events::remember_all() {
    // A process that comes along into another fleet gets another id there, and runs on.
    std::map<std::string, Process> before;
    for (const Process& process : processes_)
        before.emplace(process.record->name, process);
    processes_ = {};
    killed_.clear();
    nodes_.clear();
    domains_ = {};
    due_.clear();
    shares_.clear();
    edge_ = Health::Unknown;
    for (const ProcessRecord& record : view_->processes()) {
        const auto known = before.find(record.name);
        Process process = known == before.end() ? read(record) : known->second;
        process.record = view_->kept(record);
        processes_.insert(std::move(process));
    }
    std::vector<Event> none;
    for (const NodeRecord& record : view_->nodes())
        look_at_node(record.name, none);
    for (const DomainRecord& record : view_->domains()) {
        domains_.insert({view_->kept(record)});
        look_at_domain({Kind::Domain, record.domain}, none);
    }
    look_at_edge({Kind::Edge, ""}, none);
    arm();
}

void Events::changed(std::span<const state::Change> changes) {
    const auto note_those = [this](Kind kind, unsigned objects, const state::Change& change) {
        if (const auto ids = concerned(*view_, objects, change)) {
            for (const std::string& id : *ids)
                note({kind, id});
            return;
        }
        if (kind == Kind::Process)
            for (const ProcessRecord& record : view_->processes())
                note({kind, std::to_string(record.id)});
        if (kind == Kind::Node)
            for (const NodeRecord& record : view_->nodes())
                note({kind, record.name});
        if (kind == Kind::Domain)
            for (const DomainRecord& record : view_->domains())
                note({kind, record.domain});
    };
    for (const state::Change& change : changes) {
        another_fleet_ = another_fleet_ || is_another_fleet(change);
        if (change.value && change.key.starts_with(keys::tombstones))
            if (const auto key = keys::parse(change.key); key && processes_.contains(key->id()))
                killed_.insert(key->id());
        note_those(Kind::Process, keys::process_objects, change);
        note_those(Kind::Node, keys::node_objects, change);
        note_those(Kind::Domain, keys::domain_objects, change);
        const auto* family = keys::family_of(change.key);
        if (family && family->prefix == keys::edges) note({Kind::Edge, ""});
    }
    // All of one turn of the loop together, once the objects have been announced.
    soon_.arm({}, [this] { look(); });
}

std::string Events::node_of(const Object& object) const {
    const auto& [kind, id] = object;
    if (kind == Kind::Node) return id;
    if (kind == Kind::Process) {
        const auto number = keys::id_from_text(id).value_or(0);
        if (const auto* record = view_->process(number)) return record->node;
        const auto known = processes_.find(number);
        return known == processes_.end() ? "" : known->record->node;
    }
    if (kind == Kind::Domain) {
        if (const auto* record = view_->domain(id)) return record->node;
        const auto known = domains_.find(id);
        return known == domains_.end() ? "" : known->record->node;
    }
    const auto* fleet = view_->fleet();
    return fleet ? fleet->root : "";
}

void Events::note(Object object) {
    const auto node = node_of(object);
    const auto [share, fresh] = shares_.try_emplace(node);
    if (fresh) share->second.room = timing_.burst;
    if (fresh) share->second.refilled = Clock::now();
    share->second.waiting.insert(std::move(object));
}

void Events::refill(Share& share, Clock::time_point now) const {
    const auto more = (now - share.refilled) / timing_.every;
    share.refilled += more * timing_.every;
    share.room = static_cast<unsigned>(std::min<std::int64_t>(timing_.burst, share.room + more));
}

void Events::look() {
    if (std::exchange(another_fleet_, false)) return remember_all();
    const auto now = Clock::now();
    for (auto due = due_.begin(); due != due_.end(); ++due)
        if (due->second <= now) note(due->first);
    std::vector<Event> events;
    for (auto& [node, share] : shares_) {
        refill(share, now);
        while (share.room > 0 && !share.waiting.empty()) {
            auto next = share.waiting.upper_bound(share.last);
            if (next == share.waiting.end()) next = share.waiting.begin();
            share.last = *next;
            share.waiting.erase(next);
            const auto before = events.size();
            look_at(share.last, events);
            share.room -= std::min<unsigned>(share.room, static_cast<unsigned>(events.size() - before));
        }
    }
    std::erase_if(shares_, [this](const auto& entry) {
        return entry.second.waiting.empty() && entry.second.room == timing_.burst;
    });
    for (const Event& event : events)
        tell(event);
    arm();
}

// For what has to wait, or is not good any more and may be again in a moment.
void Events::arm() {
    std::optional<Clock::time_point> next;
    for (const auto& [object, due] : due_)
        next = std::min(next.value_or(due), due);
    const bool waiting =
        std::ranges::any_of(shares_, [](const auto& entry) { return !entry.second.waiting.empty(); });
    const auto soonest = Clock::now() + timing_.every;
    if (waiting) next = soonest;
    later_.cancel();
    // What is due may have to wait until there is room for it.
    if (next) later_.arm(std::max(*next, soonest) - Clock::now(), [this] { look(); });
}

void Events::look_at(const Object& object, std::vector<Event>& events) {
    switch (object.first) {
    case Kind::Process:
        return look_at_process(object.second, events);
    case Kind::Node:
        return look_at_node(object.second, events);
    case Kind::Domain:
        return look_at_domain(object, events);
    case Kind::Edge:
        return look_at_edge(object, events);
    }
}

Events::Process Events::read(const ProcessRecord& record) const {
    Process process{view_->kept(record)};
    if (const auto* status = view_->status(record)) {
        process.state = status->state;
        process.since = digest(status->since);
        process.stopped = status->reason ? digest(status->reason->at) : 0;
    }
    return process;
}

void Events::look_at_process(const std::string& text, std::vector<Event>& events) {
    const auto id = keys::id_from_text(text).value_or(0);
    const auto* record = view_->process(id);
    const auto known = processes_.find(id);
    if (!record) {
        if (known == processes_.end()) return;
        const auto gone = known->record;
        processes_.erase(known);
        // Absence is no kill: a registry that was restored from a copy does not know yet what was spun since.
        // Where it was killed, a tombstone has come, or this node hides the record until the root knows.
        const bool hidden = view_->replica().records().process(id) != nullptr;
        const bool was_killed = killed_.erase(id) > 0 || hidden;
        // Of a node that was removed, that is told.
        if (was_killed && view_->node_record(gone->node)) events.push_back(killed(*gone));
        return;
    }
    const Process now = read(*record);
    Process before{now.record};
    if (known != processes_.end()) {
        before = *known;
    } else {
        // It may have come with its node: what was before is not news.
        before.stopped = now.stopped;
        if (now.state == ProcessState::Stopped) before.state = now.state;
    }
    // Between two runs nothing has happened yet, and a daemon that starts finds the same run again.
    const bool settled = now.state == ProcessState::Running || now.state == ProcessState::Stopped ||
                         now.state == ProcessState::Failed || now.state == ProcessState::Paused;
    processes_.insert_or_assign(
        {now.record, settled ? now.state : before.state, settled ? now.since : before.since, now.stopped});
    const auto* status = view_->status(*record);
    const auto stopped_at = status && status->reason ? status->reason->at : std::string();
    const auto since = status ? status->since : std::string();
    const bool stopped_anew = now.stopped != 0 && now.stopped != before.stopped;
    const bool other = now.state != before.state;
    if (now.state == ProcessState::Failed && (other || stopped_anew))
        events.push_back(process_event(EventKind::ProcessFailed, *record, stopped_at));
    else if (stopped_anew || (now.state == ProcessState::Stopped && other))
        events.push_back(process_event(EventKind::ProcessStopped, *record, stopped_at));
    if (now.state == ProcessState::Running && (other || now.since != before.since))
        events.push_back(process_event(EventKind::ProcessRunning, *record, since));
}

Events::Event Events::killed(const ProcessRecord& process) const {
    Event event{EventKind::ProcessKilled,
                process_path(process.id),
                "",
                {{"process", process.name}, {"id", process.id}, {"node", process.node}}};
    auto sentence = fmt::format("process '{}' on '{}' was killed", process.name, process.node);
    const auto* entry = view_->replica().records().tombstone(process.id);
    if (const auto* tombstone = entry ? entry->accepted() : nullptr) {
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = tombstone->by;
        reason.node = tombstone->node;
        reason.at = event.time = tombstone->at;
        event.details["reason"] = reason_to_json(reason);
        event.details["reason"].erase("log");
        if (!reason.by.empty()) sentence += " by " + text::excerpt(reason.by, longest_quote);
    }
    event.details["text"] = std::move(sentence);
    return event;
}

Events::Event Events::process_event(EventKind kind, const ProcessRecord& record, std::string time) const {
    Json details{{"process", record.name}, {"id", record.id}, {"node", record.node}};
    auto sentence = fmt::format("process '{}' on '{}' {}", record.name, record.node, verb(kind));
    const auto* status = view_->status(record);
    if (kind != EventKind::ProcessRunning && status && status->reason) {
        // Without its log, which is for those who may read it.
        details["reason"] = process_row(*view_, record)["reason"];
        sentence += ": " + text::excerpt(reason_text(*status->reason), longest_quote);
    }
    details["text"] = std::move(sentence);
    return {kind, process_path(record.id), std::move(time), std::move(details)};
}

void Events::look_at_node(const std::string& name, std::vector<Event>& events) {
    const auto add = [&](EventKind kind, std::string time, std::string_view what) {
        events.push_back({kind,
                          node_path(name),
                          std::move(time),
                          {{"node", name}, {"text", fmt::format("node '{}' {}", name, what)}}});
    };
    const auto known = nodes_.find(name);
    if (!view_->node_record(name)) {
        if (known != nodes_.end()) add(EventKind::NodeRemoved, "", "is not in the fleet any more");
        nodes_.erase(name);
        return;
    }
    const auto live = view_->replica().get(keys::live(name));
    const auto state = name == view_->node() ? "up" : live ? json::member<std::string>(*live, "state") : "";
    const auto before = known == nodes_.end() ? Health::Unknown : known->second;
    // One that is suspect has not answered for a moment.
    const auto now = state == "up" ? Health::Good : state == "lost" ? Health::Bad : before;
    nodes_[name] = now;
    if (known == nodes_.end()) return add(EventKind::NodeJoined, "", "has joined the fleet");
    const auto since = view_->live_since(name);
    if (now == Health::Bad && before != now) add(EventKind::NodeLost, since, "is lost");
    if (now == Health::Good && before == Health::Bad) add(EventKind::NodeBack, since, "is back");
}

std::optional<bool> Events::turned(const Object& object, Health& health, bool good, bool at_once) {
    const auto before = health;
    if (good) {
        due_.erase(object);
        health = Health::Good;
        return before == Health::Bad ? std::optional(true) : std::nullopt;
    }
    if (before == Health::Bad) return std::nullopt;
    const auto now = Clock::now();
    const auto [due, fresh] = due_.try_emplace(object, now + timing_.grace);
    if (due->second > now && !at_once) return std::nullopt;
    due_.erase(due);
    health = Health::Bad;
    return before == Health::Good ? std::optional(false) : std::nullopt;
}

void Events::look_at_domain(const Object& object, std::vector<Event>& events) {
    const auto& name = object.second;
    const auto* record = view_->domain(name);
    if (!record) {
        domains_.erase(name);
        due_.erase(object);
        return;
    }
    const auto known = domains_.find(name);
    // Of one that has just come, nobody was served yet.
    Domain domain{view_->kept(*record), known == domains_.end() ? Health::Bad : known->health};
    const Json document = domain_document(*view_, *record);
    const auto state = json::member<std::string>(document, "state");
    const auto change = turned(object, domain.health, state == "live", state == "failed");
    domains_.insert_or_assign(std::move(domain));
    if (!change) return;
    const auto why = text::excerpt(json::member<std::string>(document, "reason"), longest_quote);
    events.push_back({*change ? EventKind::DomainLive : EventKind::DomainDown,
                      domain_path(name),
                      "",
                      {{"domain", name},
                       {"process", record->process},
                       {"node", record->node},
                       {"text", *change ? fmt::format("domain '{}' is live", name)
                                        : fmt::format("domain '{}' is down: {}", name, why)}}});
}

void Events::look_at_edge(const Object& object, std::vector<Event>& events) {
    const auto edge = view_->edge();
    if (!edge) {
        edge_ = Health::Unknown;
        due_.erase(object);
        return;
    }
    const auto change = turned(object, edge_, json::member<bool>(*edge, "up"), false);
    if (!change) return;
    const auto& root = view_->fleet()->root;
    const auto why = text::excerpt(json::member<std::string>(*edge, "detail"), longest_quote);
    events.push_back({*change ? EventKind::EdgeUp : EventKind::EdgeDown,
                      node_path(root),
                      json::member<std::string>(*edge, "since"),
                      {{"node", root},
                       {"text", *change ? fmt::format("the edge on '{}' runs again", root)
                                        : fmt::format("the edge on '{}' does not run: {}", root, why)}}});
}

// A signal that cannot be sent means that the connection is gone, which ends the daemon.
void Events::tell(const Event& event) {
    const auto signal = bus_->new_signal(dbus::names::root_path, dbus::names::manager_interface, "Event");
    if (!signal) return;
    auto time = timestamp(event.time);
    if (time.is_null()) time = timestamp(net::now_rfc3339());
    if (!dbus::write_value(*signal, "t", time)) return;
    if (!dbus::write_value(*signal, "s", event_kind_name(event.kind))) return;
    if (!dbus::write_value(*signal, "o", event.object)) return;
    if (dbus::write_fields(*signal, event_fields(), event.details)) (void)bus_->send(*signal);
}

} // namespace p2prc::daemon
