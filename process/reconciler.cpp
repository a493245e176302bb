#include "process/reconciler.h"

#include "process/command_drop_in.h"
#include "process/reconciler_impl.h"
#include "process/unit_names.h"
#include "process/usage.h"

#include <fmt/format.h>

#include <cmath>

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

Reconciler::Impl::Impl(asio::any_io_executor loop, Systemd& systemd, state::Replica& replica,
                       state::OwnState& own, JournalTail& journal, ReconcilerOptions given)
    : options(std::move(given))
    , loop_(std::move(loop))
    , systemd_(systemd)
    , replica_(replica)
    , own_(own)
    , journal_(journal)
    , bind_programs_(loop_, systemd, options.pins) {}

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
    if (any_lost_with_boot()) boot_gap_ = co_await journal_.boot_gap();
    // First: nothing is started meanwhile.
    co_await prepare_ports();
    // Signals of units that are not known yet would be taken for units of others; the list is true as of now.
    const auto all = co_await systemd_.units();
    if (!all) co_return std::unexpected(all.error());
    systemd_.on_events(std::move(events));
    for (const auto& view : *all)
        adopt(view);
    adopted_all_ = true;
    follow();
    forget_actions();
    judge_all_records();
    evaluate_all();
    co_return Result<void>{};
}

void Reconciler::Impl::follow() {
    subscriptions_.clear();
    const std::weak_ptr<Impl> weak = weak_from_this();
    subscriptions_.push_back(
        replica_.subscribe(std::string(keys::processes), [weak](std::span<const state::Change> changes) {
            const auto impl = weak.lock();
            if (!impl) return;
            for (const auto& change : changes) {
                if (change.value) impl->judge_record(change.key.substr(keys::processes.size()));
                impl->evaluate(std::string(keys::last_part(change.key)));
            }
            impl->forget_refused();
            impl->forget_actions();
            impl->retry_held();
        }));
    subscriptions_.push_back(
        replica_.subscribe(std::string(keys::tombstones), [weak](std::span<const state::Change> changes) {
            const auto impl = weak.lock();
            if (!impl) return;
            for (const auto& change : changes)
                impl->evaluate(impl->name_of_dead(change));
        }));
    subscriptions_.push_back(
        own_.subscribe(keys::local_prefix(options.node), [weak](std::span<const state::Change>) {
            if (const auto impl = weak.lock()) impl->evaluate_all();
        }));
}

// A tombstone names its process; one that goes is found again by the status that reported the end.
std::string Reconciler::Impl::name_of_dead(const state::Change& change) const {
    const auto id = keys::id_from_text(keys::last_part(change.key)).value_or(0);
    if (const auto* tombstone = tombstone_of(id); tombstone && change.value)
        return tombstone->node == options.node ? tombstone->name : "";
    const auto* status = change.value ? nullptr : written(id);
    return status ? status->name : "";
}

void Reconciler::Impl::detach() {
    systemd_.on_events({});
    subscriptions_.clear();
    stopping = true;
    ports_timer_.reset();
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
    std::vector<state::Change> changes;
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
    std::vector<state::Change> changes;
    for (const auto& [id, before] : own_.records().statuses(options.node)) {
        auto status = *before;
        status.node = node;
        changes.push_back({keys::status(options.node, id), std::nullopt, 0});
        changes.push_back({keys::status(node, status.id), status_to_json(status), 0});
    }
    options.node = std::move(node);
    own_.update(std::move(changes));
    follow();
    judge_all_records();
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
    if (const auto name = impl_->check_name(spec.name); !name) return name;
    if (const auto command = command_drop_in(spec.run); !command) return std::unexpected(command.error());
    return {};
}

void Reconciler::measure() {
    impl_->measure();
}
void Reconciler::tidy_ports() {
    impl_->tidy_ports();
}
void Reconciler::set_node(std::string node) {
    impl_->set_node(std::move(node));
}
void Reconciler::set_remote_spin(RemoteSpin policy) {
    impl_->options.remote_spin = policy;
}
void Reconciler::network_changed() {
    impl_->network_changed();
}
const std::optional<Error>& Reconciler::unconfined() const {
    return impl_->unconfined;
}
void Reconciler::system_is_stopping() {
    impl_->stopping = true;
}

} // namespace p2prc::process
