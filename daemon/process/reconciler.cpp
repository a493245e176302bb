#include "daemon/process/reconciler.h"

#include "daemon/process/command_drop_in.h"
#include "daemon/process/main_process.h"
#include "daemon/process/reconciler_impl.h"
#include "daemon/process/unit_names.h"
#include "daemon/process/usage.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view processes_prefix = "/processes/";
constexpr std::string_view tombstones_prefix = "/tombstones/";

std::string local_prefix(std::string_view node) {
    return fmt::format("/local/{}/", node);
}

std::string_view last_part(std::string_view key) {
    return key.substr(key.rfind('/') + 1);
}

template <class T>
std::optional<T> read(const Json* document, Result<T> (*reader)(const Json&)) {
    if (!document) return {};
    auto value = reader(*document);
    if (!value) return {};
    return std::move(*value);
}

// Looked at before the rest is read: where each process is judged, all documents of all others are gone
// through.
bool is_named(const Json& document, std::string_view name) {
    if (!document.is_object()) return false;
    const auto found = document.find("name");
    return found != document.end() && found->is_string() && found->get_ref<const std::string&>() == name;
}

} // namespace

std::vector<fs::path> system_unit_directories() {
    // systemd.unit(5), "System Unit Search Path".
    return {"/etc/systemd/system",          "/run/systemd/system",         "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",      "/lib/systemd/system",         "/run/systemd/generator",
            "/run/systemd/generator.early", "/run/systemd/generator.late", "/etc/systemd/system.control",
            "/run/systemd/system.control"};
}

Reconciler::Impl::Impl(asio::any_io_executor loop, Systemd& systemd, Replica& replica, OwnState& own,
                       JournalTail& journal, ReconcilerOptions given)
    : options(std::move(given))
    , loop_(std::move(loop))
    , systemd_(systemd)
    , replica_(replica)
    , own_(own)
    , journal_(journal) {}

asio::awaitable<Result<void>> Reconciler::Impl::start() {
    const auto self = shared_from_this();
    SystemdEvents events;
    const std::weak_ptr<Impl> weak = self;
    events.changed = [weak](const UnitView& view) {
        if (const auto impl = weak.lock()) impl->on_changed(view);
    };
    events.gone = [weak](const std::string& unit) {
        if (const auto impl = weak.lock()) impl->on_gone(unit);
    };
    events.outside_job = [weak](const std::string& unit, bool queued) {
        if (const auto impl = weak.lock()) impl->on_outside_job(unit, queued);
    };
    events.resynced = [weak](const std::vector<UnitView>& all) {
        if (const auto impl = weak.lock()) impl->on_resynced(all);
    };
    // Signals of units that are not known yet would be taken for units of others; the list is true as of now.
    const auto all = co_await systemd_.units();
    if (!all) co_return std::unexpected(all.error());
    systemd_.on_events(std::move(events));
    for (const auto& view : *all)
        adopt(view);
    follow();
    forget_actions();
    evaluate_all();
    co_return Result<void>{};
}

void Reconciler::Impl::follow() {
    subscriptions_.clear();
    const std::weak_ptr<Impl> weak = weak_from_this();
    subscriptions_.push_back(
        replica_.subscribe(std::string(processes_prefix), [weak](std::span<const Change> changes) {
            const auto impl = weak.lock();
            if (!impl) return;
            for (const auto& change : changes)
                impl->evaluate(std::string(last_part(change.key)));
            impl->forget_actions();
        }));
    subscriptions_.push_back(
        replica_.subscribe(std::string(tombstones_prefix), [weak](std::span<const Change> changes) {
            const auto impl = weak.lock();
            if (!impl) return;
            for (const auto& change : changes)
                impl->evaluate(impl->name_of_dead(change));
        }));
    subscriptions_.push_back(own_.subscribe(local_prefix(options.node), [weak](std::span<const Change>) {
        if (const auto impl = weak.lock()) impl->evaluate_all();
    }));
}

// A tombstone names its process; one that goes is found again by the status that reported the end.
std::string Reconciler::Impl::name_of_dead(const Change& tombstone) const {
    if (tombstone.value) {
        const auto dead = tombstone_from_json(*tombstone.value);
        return dead && dead->node == options.node ? dead->name : "";
    }
    const auto* status = own_.get(keys::status_prefix(options.node) + std::string(last_part(tombstone.key)));
    return status ? status_from_json(*status).name : "";
}

void Reconciler::Impl::detach() {
    systemd_.on_events({});
    subscriptions_.clear();
    stopping = true;
}

void Reconciler::Impl::evaluate_all() {
    std::set<std::string> names;
    for (const auto& [name, slot] : slots_)
        names.insert(name);
    for (const auto& [key, value] : replica_.range(processes_prefix))
        names.insert(std::string(last_part(key)));
    for (const auto& [key, value] : replica_.range(tombstones_prefix))
        if (const auto tombstone = read(value, &tombstone_from_json);
            tombstone && tombstone->node == options.node)
            names.insert(tombstone->name);
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node)))
        names.insert(status_from_json(*value).name);
    for (const auto& name : names)
        evaluate(name);
}

std::optional<ProcessRecord> Reconciler::Impl::record_of(const std::string& name) const {
    auto record = read(replica_.get(keys::process(name)), &process_from_json);
    if (record && record->node != options.node) return {};
    return record;
}

bool Reconciler::Impl::id_is_taken(std::uint32_t id) const {
    for (const auto& [key, value] : replica_.range(processes_prefix))
        if (const auto found = value->find("id"); found != value->end() && *found == id) return true;
    return false;
}

// The id of what a unit runs: the unit itself goes on carrying the one under which it was started.
std::uint32_t Reconciler::Impl::id_of(const std::string& name, const UnitView& unit) const {
    const auto record = record_of(name);
    if (unit.process == 0 || (record && record->id == unit.process)) return unit.process;
    for (const auto& [key, value] : replica_.range(tombstones_prefix)) {
        const auto tombstone = read(value, &tombstone_from_json);
        if (tombstone && tombstone->name == name && tombstone->node == options.node &&
            std::ranges::count(tombstone->former_ids, unit.process) > 0)
            return tombstone->id;
    }
    if (record && std::ranges::count(record->former_ids, unit.process) > 0) return record->id;
    return unit.process;
}

// What was reported of a process before its node came into this fleet goes on under its new id.
void Reconciler::Impl::rename_status(const std::string& name) {
    const auto record = record_of(name);
    if (!record) return;
    for (const auto former : record->former_ids) {
        const auto* written = own_.get(keys::status(options.node, former));
        if (!written) continue;
        auto status = status_from_json(*written);
        if (status.name != name) continue;
        std::vector<Change> changes;
        changes.push_back({keys::status(options.node, former), std::nullopt, 0});
        if (!own_.get(keys::status(options.node, record->id))) {
            status.id = record->id;
            changes.push_back({keys::status(options.node, record->id), status_to_json(status), 0});
        }
        own_.update(std::move(changes));
    }
}

// The statuses that say that something without a record runs. Before anything was received there are no
// records, and that proves nothing; what a tombstone ends is reported first; and what ran in an earlier boot
// runs again if the registry takes it in.
std::vector<std::string> Reconciler::Impl::left_over(const std::string& name) const {
    std::vector<std::string> keys;
    if (replica_.store_id().empty() || record_of(name)) return keys;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        const auto status = status_from_json(*value);
        if (status.name == name && was_up(status.state) && status.boot_id == options.boot_id &&
            !replica_.get(keys::tombstone(status.id)))
            keys.emplace_back(key);
    }
    return keys;
}

Reconciler::Impl::Facts Reconciler::Impl::facts(const std::string& name, const Slot& slot) const {
    Facts now;
    now.record = record_of(name);
    const std::uint32_t unit_id = slot.unit ? id_of(name, *slot.unit) : 0;
    now.id = now.record ? now.record->id : unit_id;
    if (const auto* status = own_.get(keys::status(options.node, now.id)))
        now.status = status_from_json(*status);
    const auto local_of = [&](std::uint32_t id) -> std::optional<LocalAction> {
        const auto* document = own_.get(local_prefix(options.node) + std::to_string(id));
        if (!document) return {};
        auto action = local_action_from_json(*document);
        action.id = id;
        return action;
    };
    now.local = local_of(now.id);
    if (now.record && unit_id != 0 && unit_id != now.id)
        now.same_process = slot.unit->digest == now.record->digest && !id_is_taken(unit_id);
    if (unit_id != 0) {
        now.tombstone = read(replica_.get(keys::tombstone(unit_id)), &tombstone_from_json);
        // A number of another registry may be another process's here.
        if (now.tombstone && (now.tombstone->name != name || now.tombstone->node != options.node))
            now.tombstone.reset();
        const auto local = local_of(unit_id);
        // A local kill counts for as long as the record is there: without one it has been taken in.
        const bool killed_here =
            now.record && unit_id == now.id && wanted(*now.record, local ? &*local : nullptr).killed;
        now.buried = now.tombstone.has_value() || killed_here;
        now.buried_by = now.tombstone ? now.tombstone->by : local ? local->by : "";
    }
    return now;
}

// Ends of killed processes are reported, and forgotten when the registry has taken the report in.
void Reconciler::Impl::bury(const std::string& name) {
    const auto slot = slots_.find(name);
    const std::uint32_t running = slot != slots_.end() && slot->second.unit && !slot->second.unit->dead()
                                      ? id_of(name, *slot->second.unit)
                                      : 0;
    for (const auto& [key, value] : replica_.range(tombstones_prefix)) {
        if (!is_named(*value, name)) continue;
        const auto tombstone = read(value, &tombstone_from_json);
        if (!tombstone || tombstone->node != options.node || tombstone->id == running) continue;
        const auto* written = own_.get(keys::status(options.node, tombstone->id));
        ProcessStatus status = written ? status_from_json(*written) : ProcessStatus{};
        if (written && status.reason && status.reason->kind == StopKind::Killed) continue;
        Facts of_dead;
        of_dead.id = tombstone->id;
        status.id = tombstone->id;
        status.name = name;
        status.pid = 0;
        StopReason reason;
        reason.kind = StopKind::Killed;
        reason.by = tombstone->by;
        status.reason = stamped(reason, of_dead);
        write_state(std::move(status), ProcessState::Stopped);
    }
    std::vector<std::string> reported;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        if (!is_named(*value, name)) continue;
        const auto status = status_from_json(*value);
        const bool killed = status.reason && status.reason->kind == StopKind::Killed;
        if (!killed || status.id == running || replica_.get(keys::tombstone(status.id))) continue;
        const auto record = record_of(name);
        if (!record || record->id != status.id) reported.emplace_back(key);
    }
    for (const auto& key : reported)
        own_.erase(key);
}

// Local actions that the registry has taken in, or whose process is no more. In another fleet ids begin anew:
// what is left of a kill would meet the process that is given the same one.
void Reconciler::Impl::forget_actions() {
    if (replica_.store_id().empty()) return; // nothing was ever received: it proves nothing
    std::vector<Change> over;
    for (const auto& [key, value] : own_.range("/local/")) {
        const auto action = local_action_from_json(*value);
        std::optional<ProcessRecord> record;
        if (key.starts_with(local_prefix(options.node)))
            for (const auto& [name, document] : replica_.range(processes_prefix))
                if (const auto found = read(document, &process_from_json);
                    found && found->node == options.node && std::to_string(found->id) == last_part(key))
                    record = *found;
        if (!record || taken_in(*record, action)) over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) own_.update(std::move(over));
}

void Reconciler::Impl::evaluate(const std::string& name) {
    if (stopping || name.empty()) return;
    auto& slot = slots_[name];
    if (slot.busy) return;
    rename_status(name);
    bury(name);
    const auto now = facts(name, slot);
    Situation situation;
    situation.record = now.record ? &*now.record : nullptr;
    situation.local = now.local ? &*now.local : nullptr;
    situation.status = now.status ? &*now.status : nullptr;
    situation.unit = slot.unit && slot.unit->process != 0 ? &*slot.unit : nullptr;
    situation.left_over = !left_over(name).empty();
    situation.buried = now.buried;
    situation.same_process = now.same_process;
    situation.boot_id = options.boot_id;
    auto what = plan(situation);
    const bool adopted = std::exchange(slot.adopted, false);
    if (what == Act::Observe) what = observation(slot, now, adopted);
    // The kernel knows that it is over; systemd says so presently.
    if (what == Act::Observe && slot.unit->up() && main_process_ended(slot.unit->main_pid)) return;
    act(name, what, now);
    // A name of which there is nothing more: it may be of another node, or a process that was killed.
    if (const auto& after = slots_[name]; !after.busy && !after.unit && !now.record) slots_.erase(name);
}

// What has to be known before it can be written down what systemd runs.
Act Reconciler::Impl::observation(const Slot& slot, const Facts& now, bool adopted) const {
    const auto& unit = *slot.unit;
    // While it goes up, down or around by itself there is an end to write down first.
    if (slot.end && slot.watched) return Act::Conclude;
    if (adopted && now.status && runs_anew(*now.status, unit, options.boot_id)) return Act::Recall;
    const bool written =
        now.status && now.status->state == ProcessState::Running && now.status->invocation == unit.invocation;
    return unit.up() && !written && slot.confirmed != unit.invocation ? Act::Confirm : Act::Observe;
}

void Reconciler::Impl::act(const std::string& name, Act what, const Facts& now) {
    switch (what) {
    case Act::Nothing:
        return;
    case Act::Observe:
        return observe(name, now);
    case Act::Settle: {
        auto status = draft(name, now);
        status.applied = wanted(*now.record, now.local ? &*now.local : nullptr).change;
        return write_state(std::move(status), ProcessState::Stopped);
    }
    case Act::Occupied:
        return refuse(
            now, "name",
            {ErrorCode::Conflict, fmt::format("process {} still runs under the name '{}'",
                                              slots_[name].unit ? slots_[name].unit->process : 0, name)});
    case Act::Start:
    case Act::Restart:
    case Act::Stop:
    case Act::Kill:
    case Act::Conclude:
    case Act::Recall:
    case Act::Confirm:
    case Act::Forget:
        break;
    }
    begin(name, what, now);
}

namespace {

// Before its command is executed, the first time and after each automatic restart, a unit shows as dead
// without anything having run.
bool has_ended(const UnitView& view) {
    const bool ran = view.result.code != 0 || view.result.result != "success";
    return (view.dead() || view.sub_state == "auto-restart") && ran;
}

} // namespace

// Takes over a unit as it is found, whatever was known of it before.
void Reconciler::Impl::adopt(const UnitView& view) {
    auto& slot = slots_[std::string(process_of_unit(view.unit))];
    slot.unit = view;
    slot.watched = !view.dead();
    slot.adopted = !view.dead();
    if (view.up()) slot.executed = view.invocation;
    if (has_ended(view)) slot.end = view;
}

void Reconciler::Impl::on_changed(const UnitView& view) {
    const std::string name(process_of_unit(view.unit));
    auto& slot = slots_[name];
    if (view.up()) {
        if (slot.executed != view.invocation) slot.outside = false;
        slot.executed = view.invocation;
        slot.watched = true;
    }
    slot.unit = view;
    if (has_ended(view)) slot.end = view;
    evaluate(name);
}

void Reconciler::Impl::on_gone(const std::string& unit) {
    const std::string name(process_of_unit(unit));
    auto& slot = slots_[name];
    // Its last state is all that is left of it, unless that was not its end.
    if (slot.unit && !slot.unit->dead()) slot.end.reset();
    slot.unit.reset();
    evaluate(name);
}

void Reconciler::Impl::on_outside_job(const std::string& unit, bool queued) {
    const auto found = slots_.find(std::string(process_of_unit(unit)));
    if (found == slots_.end() || !found->second.unit) return;
    auto& slot = found->second;
    if (queued && slot.unit->up()) slot.outside = true;
    if (!queued && slot.unit->up()) slot.outside = false; // the job did not end it
}

void Reconciler::Impl::on_resynced(const std::vector<UnitView>& all) {
    for (auto& [name, slot] : slots_) {
        slot.watched = false;
        slot.outside = false;
        const auto unit = unit_name(name);
        const auto known = std::ranges::find(all, unit, &UnitView::unit);
        if (known == all.end()) {
            if (slot.unit && !slot.unit->dead()) slot.end.reset();
            slot.unit.reset();
        }
    }
    for (const auto& view : all)
        adopt(view);
    evaluate_all();
}

Result<void> Reconciler::Impl::check_name(std::string_view name) const {
    const auto unit = unit_name(name);
    for (const auto& directory : options.unit_directories) {
        std::error_code ignored;
        if (fs::symlink_status(directory / unit, ignored).type() == fs::file_type::not_found) continue;
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the name '{}' is taken by the unit {}", name, (directory / unit).string()),
                    "choose another name");
    }
    return {};
}

void Reconciler::Impl::measure() {
    std::vector<Change> changes;
    for (const auto& [name, slot] : slots_) {
        if (!slot.unit || slot.unit->dead() || slot.unit->process == 0) continue;
        const auto now = facts(name, slot);
        if (!now.status) continue;
        const auto usage = read_usage(slot.unit->unit);
        auto status = *now.status;
        const double cpu = std::abs(usage.cpu_seconds.value_or(0) - status.cpu_seconds.value_or(0));
        const auto memory = static_cast<double>(status.memory_bytes.value_or(0));
        const double growth = std::abs(static_cast<double>(usage.memory_bytes.value_or(0)) - memory);
        // Each change goes to every node: the small ones are not worth it.
        if (cpu < 1 && growth <= memory / 20) continue;
        status.memory_bytes = usage.memory_bytes;
        status.cpu_seconds = usage.cpu_seconds;
        changes.push_back({keys::status(options.node, status.id), status_to_json(status), 0});
    }
    if (!changes.empty()) own_.update(std::move(changes));
}

void Reconciler::Impl::set_node(std::string node) {
    std::vector<Change> changes;
    for (const auto& [key, value] : own_.range(keys::status_prefix(options.node))) {
        auto status = status_from_json(*value);
        status.node = node;
        changes.push_back({std::string(key), std::nullopt, 0});
        changes.push_back({keys::status(node, status.id), status_to_json(status), 0});
    }
    options.node = std::move(node);
    own_.update(std::move(changes));
    follow();
    evaluate_all();
}

Reconciler::Reconciler(asio::any_io_executor loop, Systemd& systemd, Replica& replica, OwnState& own,
                       JournalTail& journal, ReconcilerOptions options)
    : impl_(std::make_shared<Impl>(std::move(loop), systemd, replica, own, journal, std::move(options))) {}

Reconciler::~Reconciler() {
    impl_->detach();
}

asio::awaitable<Result<void>> Reconciler::start() {
    return impl_->start();
}

Result<void> Reconciler::check_spec(const ProcessSpec& spec, Origin origin) const {
    if (const auto name = impl_->check_name(spec.name); !name) return name;
    if (const auto command = command_drop_in(spec.run); !command) return std::unexpected(command.error());
    if (origin == Origin::Local) return {};
    return check_remote_spin(impl_->options.remote_spin, spec);
}

void Reconciler::measure() {
    impl_->measure();
}
void Reconciler::set_node(std::string node) {
    impl_->set_node(std::move(node));
}
void Reconciler::set_remote_spin(RemoteSpin policy) {
    impl_->options.remote_spin = policy;
}
void Reconciler::system_is_stopping() {
    impl_->stopping = true;
}

} // namespace p2prc::daemon
