#include "process/reconciler.h"

#include "core/revision.h"
#include "net/spawn.h"
#include "process/command_drop_in.h"
#include "process/refused_records.h"
#include "process/removal_unit.h"
#include "process/supervisor.h"
#include "process/transient_unit.h"
#include "process/unit_names.h"
#include "process/usage.h"
#include "state/origins.h"
#include "state/owner_limits.h"
#include "state/owner_notes.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;

std::vector<fs::path> system_unit_directories() {
    // systemd.unit(5), "System Unit Search Path".
    return {"/etc/systemd/system",          "/run/systemd/system",         "/usr/local/lib/systemd/system",
            "/usr/lib/systemd/system",      "/lib/systemd/system",         "/run/systemd/generator",
            "/run/systemd/generator.early", "/run/systemd/generator.late", "/etc/systemd/system.control",
            "/run/systemd/system.control"};
}

class Reconciler::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::any_io_executor loop, Systemd& systemd, state::Replica& replica, state::OwnState& own,
         JournalTail& journal, ReconcilerOptions options);

    asio::awaitable<Result<void>> start();
    void measure();
    void tidy_ports();
    void tidy_deployments();
    asio::awaitable<Result<Cleaned>> clean_deployments(std::string name);
    void tidy_copies();
    void tidy_stops();
    void set_node(std::string node);
    Result<void> check_deployer(const ProcessSpec& spec) const;
    void network_changed();
    void policy_changed();
    void detach();

  private:
    // Shared with what looks a unit up. An operation under way may outlive this, so it is emptied at the end.
    using Supervisors = std::map<std::string, std::shared_ptr<ProcessSupervisor>, std::less<>>;
    static const ObservedUnit* unit_of(const Supervisors& supervisors, std::string_view name);
    std::shared_ptr<Supervisors> supervisors_ = std::make_shared<Supervisors>();

  public:
    std::shared_ptr<Supervision> node;

  private:
    ProcessSupervisor& supervisor(const std::string& name);
    void evaluate(const std::string& name);
    void evaluate_all();
    void forget_if_over(const std::string& name);
    void retry_held();
    std::string name_of_dead(const state::Change& tombstone) const;
    void forget_actions();
    void settle_origin(std::string_view name);
    void follow_owners();
    asio::awaitable<void> remove_copy(std::string name);
    asio::awaitable<void> apply_limits(std::vector<std::string> owners);
    bool any_lost_with_boot() const;
    bool knows_all() const;
    Deployments::Needed needed_deployments() const;
    std::set<std::string> deployments_of_dead(const Deployments::Needed& needed) const;

    void follow();
    SystemdEvents events();
    void adopt(const UnitView& view);
    void on_gone(const std::string& unit);
    void on_outside_job(const std::string& unit, bool queued);
    void on_resynced(const std::vector<UnitView>& all);

    RefusedRecords refused_;
    bool adopted_all_ = false; // all units that there were are known
    std::vector<state::Subscription> subscriptions_;
};

Reconciler::Impl::Impl(asio::any_io_executor loop, Systemd& systemd, state::Replica& replica,
                       state::OwnState& own, JournalTail& journal, ReconcilerOptions options)
    : node(std::make_shared<Supervision>(
          std::move(loop), systemd, replica, own, journal, std::move(options),
          [all = supervisors_](std::string_view name) { return unit_of(*all, name); }))
    , refused_(*node, [this](std::uint32_t id) {
        return std::ranges::any_of(*supervisors_,
                                   [id](const auto& item) { return item.second->unit().alive_as(id); });
    }) {}

ProcessSupervisor& Reconciler::Impl::supervisor(const std::string& name) {
    auto& known = (*supervisors_)[name];
    if (!known) known = std::make_shared<ProcessSupervisor>(node, name);
    return *known;
}

const ObservedUnit* Reconciler::Impl::unit_of(const Supervisors& supervisors, std::string_view name) {
    const auto found = supervisors.find(name);
    return found == supervisors.end() ? nullptr : &found->second->unit();
}

asio::awaitable<Result<void>> Reconciler::Impl::start() {
    const auto self = shared_from_this();
    node->ports.owned_by(node);
    node->look_again = [weak = weak_from_this()](const std::string& name) {
        if (const auto impl = weak.lock()) impl->evaluate(name);
    };
    if (any_lost_with_boot()) node->boot_gap = co_await node->journal.boot_gap();
    // First: nothing is started meanwhile.
    co_await node->ports.prepare();
    for (const auto name : node->records.agreed().processes_on(node->options.node))
        settle_origin(name);
    state::follow_owners(node->own, node->replica, node->options.node);
    // systemd has forgotten them with the last boot.
    auto limited = state::OwnerLimits(node->own).nodes();
    co_await apply_limits(std::move(limited));
    // Signals of units that are not known yet would be taken for units of others; the list is true as of now.
    const auto all = co_await node->systemd.units();
    if (!all) co_return std::unexpected(all.error());
    node->systemd.on_events(events());
    for (const auto& view : *all)
        adopt(view);
    adopted_all_ = true;
    follow();
    forget_actions();
    refused_.judge_all();
    evaluate_all();
    tidy_copies();
    co_return Result<void>{};
}

SystemdEvents Reconciler::Impl::events() {
    SystemdEvents events;
    const std::weak_ptr<Impl> weak = shared_from_this();
    events.changed = [weak](const UnitView& view) {
        const auto impl = weak.lock();
        if (!impl) return;
        const std::string name(process_of_unit(view.unit));
        impl->supervisor(name).changed(view);
        impl->forget_if_over(name);
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
    return events;
}

void Reconciler::Impl::follow() {
    subscriptions_.clear();
    const std::weak_ptr<Impl> weak = weak_from_this();
    subscriptions_.push_back(
        node->replica.subscribe(std::string(keys::processes), [weak](std::span<const state::Change> changes) {
            const auto impl = weak.lock();
            if (!impl) return;
            for (const auto& change : changes) {
                if (change.value) impl->refused_.judge(change.key.substr(keys::processes.size()));
                impl->settle_origin(keys::last_part(change.key));
                impl->evaluate(std::string(keys::last_part(change.key)));
            }
            impl->refused_.forget();
            impl->forget_actions();
            impl->follow_owners();
            impl->retry_held();
        }));
    subscriptions_.push_back(node->replica.subscribe(std::string(keys::tombstones),
                                                     [weak](std::span<const state::Change> changes) {
                                                         const auto impl = weak.lock();
                                                         if (!impl) return;
                                                         for (const auto& change : changes)
                                                             impl->evaluate(impl->name_of_dead(change));
                                                         impl->forget_actions();
                                                     }));
    subscriptions_.push_back(
        node->replica.subscribe(std::string(keys::nodes), [weak](std::span<const state::Change>) {
            if (const auto impl = weak.lock()) impl->follow_owners();
        }));
    for (const auto& prefix : {keys::local_prefix(node->options.node), std::string(keys::paused_here),
                               std::string(keys::paused_owners)})
        subscriptions_.push_back(node->own.subscribe(prefix, [weak](std::span<const state::Change>) {
            if (const auto impl = weak.lock()) impl->evaluate_all();
        }));
}

// What comes of a request that was made here need not wait for its answer, which may be lost.
void Reconciler::Impl::settle_origin(std::string_view name) {
    if (const auto* record = node->records.record(name)) state::Origins(node->own).settle(*record);
}

// A pause that came to another name is seen by the subscription to it; limits that did are those of the slice
// that was there before.
void Reconciler::Impl::follow_owners() {
    state::follow_owners(node->own, node->replica, node->options.node);
}

asio::awaitable<void> Reconciler::Impl::apply_limits(std::vector<std::string> owners) {
    const auto self = shared_from_this();
    for (const auto& owner : owners)
        if (const auto applied = co_await node->owner_slices.apply(owner); !applied)
            node->warn(fmt::format("limits of what '{}' has spun here are not in effect, and nothing of it "
                                   "is started before they are: {}",
                                   owner, applied.error().message),
                       "");
}

// A tombstone names its process; one that goes is found again by the status that reported the end.
std::string Reconciler::Impl::name_of_dead(const state::Change& change) const {
    const auto id = keys::id_from_text(keys::last_part(change.key)).value_or(0);
    if (const auto* tombstone = node->records.tombstone(id); tombstone && change.value)
        return tombstone->node == node->options.node ? tombstone->name : "";
    const auto* status = change.value ? nullptr : node->records.status(id);
    return status ? status->name : "";
}

void Reconciler::Impl::evaluate(const std::string& name) {
    if (node->stopping || name.empty()) return;
    supervisor(name).evaluate();
    forget_if_over(name);
}

// A name of which there is nothing more: it may be of another node, or a process that was killed.
void Reconciler::Impl::forget_if_over(const std::string& name) {
    const auto found = supervisors_->find(name);
    if (found != supervisors_->end() && found->second->over()) supervisors_->erase(found);
}

void Reconciler::Impl::evaluate_all() {
    std::set<std::string> names;
    for (const auto& [name, known] : *supervisors_)
        names.insert(name);
    const auto& agreed = node->records.agreed();
    for (const auto name : agreed.processes_on(node->options.node))
        names.emplace(name);
    for (const auto id : agreed.tombstones_on(node->options.node))
        if (const auto* tombstone = node->records.tombstone(id)) names.insert(tombstone->name);
    for (const auto& [id, status] : node->own.records().statuses(node->options.node))
        names.insert(status->name);
    for (const auto& name : names)
        evaluate(name);
}

// Takes over a unit as it is found, whatever was known of it before.
void Reconciler::Impl::adopt(const UnitView& view) {
    supervisor(std::string(process_of_unit(view.unit))).found(view);
}

void Reconciler::Impl::on_gone(const std::string& unit) {
    const std::string name(process_of_unit(unit));
    supervisor(name).gone(unit);
    forget_if_over(name);
    retry_held();
}

void Reconciler::Impl::on_outside_job(const std::string& unit, bool queued) {
    const auto found = supervisors_->find(process_of_unit(unit));
    if (found != supervisors_->end()) found->second->outside_job(unit, queued);
}

void Reconciler::Impl::on_resynced(const std::vector<UnitView>& all) {
    const auto is_loaded = [&all](const std::string& unit) {
        return std::ranges::find(all, unit, &UnitView::unit) != all.end();
    };
    for (auto& [name, known] : *supervisors_)
        known->unwatched(is_loaded);
    for (const auto& view : all)
        adopt(view);
    evaluate_all();
}

// Where the holder of an id is gone or has another one, it is as if the record had come now.
void Reconciler::Impl::retry_held() {
    for (const auto& name : refused_.no_longer_held())
        evaluate(name);
}

// Local actions that the registry has taken in, or whose process is no more. In another fleet ids begin anew:
// what is left of a kill would meet the process that is given the same one.
void Reconciler::Impl::forget_actions() {
    if (node->replica.store_id().empty()) return; // nothing was ever received: it proves nothing
    state::Pauses(node->own).forget_over(node->replica);
    std::vector<state::Change> over;
    for (const auto& [key, value] : node->own.range(keys::local_actions)) {
        const auto parsed = keys::parse(key);
        const bool mine = parsed && parsed->node() == node->options.node;
        const auto* record = mine ? node->records.owner_of_id(parsed->id()) : nullptr;
        const auto* action =
            mine ? node->own.records().local_action(node->options.node, parsed->id()) : nullptr;
        if (!record || taken_in(*record, *action)) over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) node->own.update(std::move(over));
}

bool Reconciler::Impl::any_lost_with_boot() const {
    return std::ranges::any_of(node->own.records().statuses(node->options.node), [this](const auto& item) {
        return lost_with_its_boot(*item.second, node->options.boot_id);
    });
}

void Reconciler::Impl::detach() {
    node->systemd.on_events({});
    subscriptions_.clear();
    node->stop();
    supervisors_->clear();
}

void Reconciler::Impl::measure() {
    std::vector<state::Change> changes;
    BriefUsages usages;
    for (const auto& [name, known] : *supervisors_)
        if (const auto status = known->measured(usages))
            changes.push_back({keys::status(node->options.node, status->id), status_to_json(*status), 0});
    if (!changes.empty()) node->own.update(std::move(changes));
}

// They go with the status, which is erased in several places.
void Reconciler::Impl::tidy_stops() {
    if (node->stopping) return;
    std::vector<state::Change> over;
    for (const auto& [key, stops] : node->own.range(keys::stops_prefix(node->options.node))) {
        const auto parsed = keys::parse(key);
        if (!parsed || !node->own.get(keys::status(node->options.node, parsed->id())))
            over.push_back({std::string(key), std::nullopt, 0});
    }
    if (!over.empty()) node->own.update(std::move(over));
}

void Reconciler::Impl::tidy_ports() {
    if (node->stopping || !adopted_all_) return;
    std::set<std::string> in_use;
    for (const auto& [name, known] : *supervisors_) {
        if (known->unit().view() || known->busy()) in_use.insert(known->unit().bind_rule());
        if (known->other_unit().view() || known->busy()) in_use.insert(known->other_unit().bind_rule());
    }
    node->ports.tidy(in_use);
}

namespace {

// What the deployer has made for what it is to be, for what runs, and for what an update may go back to.
std::set<std::string> digests_in_use(const ProcessRecord& record, const ProcessStatus* status) {
    std::set<std::string> digests;
    const auto add = [&digests](const Revision* revision) {
        if (revision && !revision->spec.deploy.strategy.empty())
            digests.insert(deploy_digest(revision->spec, revision->deployment));
    };
    const auto present = present_revision(record);
    add(&present);
    add(last_good_revision(record));
    if (status) add(former_revision(record, status->revision));
    if (status && status->update) add(former_revision(record, status->update->fallback));
    return digests;
}

} // namespace

// Nothing is concluded from a record that is not there before any were received.
bool Reconciler::Impl::knows_all() const {
    return !node->stopping && adopted_all_ && !node->replica.store_id().empty();
}

Deployments::Needed Reconciler::Impl::needed_deployments() const {
    Deployments::Needed needed;
    for (const auto name : node->records.agreed().processes_on(node->options.node))
        if (const auto* record = node->records.record(name))
            needed.emplace(name,
                           digests_in_use(*record, node->own.records().status(record->node, record->id)));
    return needed;
}

// Of what runs still, and is of no process any more.
std::set<std::string> Reconciler::Impl::deployments_of_dead(const Deployments::Needed& needed) const {
    std::set<std::string> dead;
    for (const auto& [name, known] : *supervisors_)
        if ((known->busy() || known->unit().view() || known->other_unit().view()) && !needed.contains(name))
            dead.insert(name);
    return dead;
}

void Reconciler::Impl::tidy_deployments() {
    if (!knows_all()) return;
    const auto needed = needed_deployments();
    auto busy = deployments_of_dead(needed);
    for (const auto& [name, known] : *supervisors_)
        if (known->busy()) busy.insert(name);
    node->deployments.tidy(needed, busy, node);
}

// Copies of data that were cut off: by the end of p2prcd or of the process, or as they took too long.
void Reconciler::Impl::tidy_copies() {
    if (node->stopping || !adopted_all_) return;
    for (const auto& name : node->options.data.unfinished_copies()) {
        const auto known = supervisors_->find(name);
        if (known != supervisors_->end() && known->second->busy()) continue;
        const auto* record = node->records.record(name);
        const auto* status = record ? node->records.status(record->id) : nullptr;
        // It is made anew, where it is.
        if (status && status->update && status->update->phase == UpdatePhase::Replacing) continue;
        asio::co_spawn(node->loop, remove_copy(name), net::ReportFailure("removing a copy of data"));
    }
}

// As the unit that copies: whoever copies again stops it first, and while an earlier p2prcd's copy is still
// being made, nothing is removed.
asio::awaitable<void> Reconciler::Impl::remove_copy(std::string name) {
    const auto self = shared_from_this();
    const auto paths = node->options.data.unfinished_copy(name);
    std::vector<fs::path> writable;
    for (const auto& path : paths)
        writable.push_back(path.parent_path());
    auto unit = copy_removal_unit(name, paths, writable);
    JobShare share{JobShare::Kind::Deployments};
    const auto result =
        co_await node->systemd.start_transient(copy_unit_name(name), std::move(unit), std::move(share));
    if (!result &&
        (result.error().code == ErrorCode::Conflict || result.error().code == ErrorCode::Unreachable))
        co_return;
    if (!result || (*result != "done" && *result != "canceled"))
        node->warn(fmt::format("{} was not removed: {}", paths.back().string(),
                               result ? "systemd's job ended as '" + *result + "'" : result.error().message),
                   name);
}

asio::awaitable<Result<Cleaned>> Reconciler::Impl::clean_deployments(std::string name) {
    const auto self = shared_from_this();
    if (!knows_all())
        co_return fail(ErrorCode::Unreachable, "it is not known yet which processes this machine has",
                       "try again in a moment");
    auto needed = needed_deployments();
    auto busy = deployments_of_dead(needed);
    co_return co_await node->deployments.clean(std::move(name), std::move(needed), std::move(busy));
}

// What was deployed already needs none any more.
Result<void> Reconciler::Impl::check_deployer(const ProcessSpec& spec) const {
    if (spec.deploy.strategy.empty()) return {};
    if (const auto* record = node->records.record(spec.name)) {
        auto same = *record;
        same.spec = spec;
        if (node->deployments.results().find(same)) return {};
    }
    const auto deployer = node->deployments.deployer(spec.deploy.strategy);
    if (!deployer) return fail(ErrorCode::NoSuitableNode, deployer.error().message, deployer.error().hint);
    return check_needs(*deployer);
}

void Reconciler::Impl::network_changed() {
    if (node->stopping) return;
    for (const auto& [name, known] : *supervisors_)
        known->network_changed();
}

void Reconciler::Impl::policy_changed() {
    if (node->stopping || !adopted_all_) return;
    for (const auto& [name, known] : Supervisors(*supervisors_))
        known->policy_changed();
}

void Reconciler::Impl::set_node(std::string name) {
    std::vector<state::Change> changes;
    for (const auto& [id, before] : node->own.records().statuses(node->options.node)) {
        auto status = *before;
        status.node = name;
        changes.push_back({keys::status(node->options.node, id), std::nullopt, 0});
        changes.push_back({keys::status(name, status.id), status_to_json(status), 0});
        if (const auto stops = node->own.get(keys::stops(node->options.node, id)))
            changes.push_back({keys::stops(name, id), *stops, 0});
    }
    for (const auto& [key, stops] : node->own.range(keys::stops_prefix(node->options.node)))
        changes.push_back({std::string(key), std::nullopt, 0});
    node->options.node = std::move(name);
    node->own.update(std::move(changes));
    follow();
    refused_.judge_all();
    evaluate_all();
}

Reconciler::Reconciler(asio::any_io_executor loop, Systemd& systemd, state::Replica& replica,
                       state::OwnState& own, JournalTail& journal, ReconcilerOptions options)
    : impl_(std::make_shared<Impl>(std::move(loop), systemd, replica, own, journal, std::move(options))) {}

Reconciler::~Reconciler() {
    impl_->detach();
}

asio::awaitable<Result<void>> Reconciler::start() {
    return impl_->start();
}

Result<void> Reconciler::check_spec(const ProcessSpec& spec) const {
    if (const auto name = impl_->node->check_name(spec.name); !name) return name;
    const bool by_deployer = spec.run.command.empty() && !spec.deploy.strategy.empty();
    if (const auto command = command_drop_in(spec.run); !command && !by_deployer)
        return std::unexpected(command.error());
    if (spec.update.snapshot)
        if (const auto able = impl_->node->options.data.check_exchange();
            !able && able.error().code == ErrorCode::NotSupported)
            return able;
    return impl_->check_deployer(spec);
}

asio::awaitable<Result<void>> Reconciler::apply_limits(std::string owner) {
    return impl_->node->owner_slices.apply(std::move(owner));
}

void Reconciler::measure() {
    impl_->measure();
}
void Reconciler::tidy_ports() {
    impl_->tidy_ports();
}
void Reconciler::tidy_deployments() {
    impl_->tidy_deployments();
}
asio::awaitable<Result<Cleaned>> Reconciler::clean_deployments(std::string name) {
    return impl_->clean_deployments(std::move(name));
}
void Reconciler::tidy_copies() {
    impl_->tidy_copies();
}
void Reconciler::tidy_stops() {
    impl_->tidy_stops();
}
void Reconciler::set_node(std::string node) {
    impl_->set_node(std::move(node));
}
void Reconciler::set_remote_spin(RemoteSpin policy, std::vector<std::string> deployers) {
    impl_->node->options.remote_spin = policy;
    impl_->node->options.remote_deployers = std::move(deployers);
    impl_->policy_changed();
}
void Reconciler::network_changed() {
    impl_->network_changed();
}
const std::optional<Error>& Reconciler::unconfined() const {
    return impl_->node->ports.unconfined();
}
void Reconciler::system_is_stopping() {
    impl_->node->stop();
}

} // namespace p2prc::process
