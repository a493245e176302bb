#include "net/cgroups.h"
#include "process/data_ownership.h"
#include "process/reconciler_impl.h"
#include "process/unit_names.h"
#include "state/origins.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

namespace p2prc::process {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto retry_after = 2s;

} // namespace

Reconciler::Impl::SlotLock::SlotLock(std::shared_ptr<Impl> impl, std::string name)
    : impl_(std::move(impl))
    , name_(std::move(name)) {
    impl_->slots_[name_].busy = true;
}

Reconciler::Impl::SlotLock::~SlotLock() {
    const auto slot = impl_->slots_.find(name_);
    if (slot != impl_->slots_.end()) slot->second.busy = false;
}

void Reconciler::Impl::begin(const std::string& name, Act what, const Facts& now) {
    const auto self = shared_from_this();
    try {
        auto lock = std::make_unique<SlotLock>(self, name);
        auto over = [self, name, lock = std::move(lock)](const std::exception_ptr& error,
                                                         bool look_again) mutable {
            lock.reset();
            if (error)
                self->failed(name, error);
            else if (look_again)
                self->evaluate(name);
        };
        asio::co_spawn(loop_, run(name, what, now), std::move(over));
    } catch (...) {
        failed(name, std::current_exception());
    }
}

// Errors are values; an exception is a lack of memory or a bug. It costs one process one attempt.
void Reconciler::Impl::failed(const std::string& name, const std::exception_ptr& error) {
    if (stopping) return;
    std::string what;
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        what = known.what();
    } catch (...) {
        what = "an unknown exception";
    }
    if (options.warn)
        options.warn(fmt::format("looking after '{}' failed and is tried again: {}", name, what), name);
    retry_later(name);
}

// True: something may be to be done after it.
asio::awaitable<bool> Reconciler::Impl::run(std::string name, Act what, Facts now) {
    const auto self = shared_from_this();
    bool look_again = true;
    if (what == Act::Conclude) look_again = co_await do_conclude(name, now);
    if (what == Act::Recall) look_again = co_await do_recall(name, now);
    if (what == Act::Confirm) look_again = co_await do_confirm(name);
    if (what == Act::Forget) look_again = co_await do_forget(name);
    if (what == Act::Stop || what == Act::Kill || what == Act::Restart)
        look_again = co_await do_stop(name, now, what);
    if (look_again && (what == Act::Start || what == Act::Retry || what == Act::Restart) && !stopping) {
        const auto fresh = facts(name, slots_[name]);
        look_again = co_await do_start(name, fresh, what);
    }
    co_return look_again;
}

// What is not allowed here, or cannot be written down, is refused at its step.
Result<TransientUnit> Reconciler::Impl::permitted_unit(const std::string& name, const Facts& now, Act what) {
    const auto& record = *now.record;
    const auto origin = state::Origins(own_).here(record) ? Origin::Local : Origin::Remote;
    const auto refused = [&](const char* step, const Error& error) -> Result<TransientUnit> {
        refuse(now, step, error);
        return std::unexpected(error);
    };
    if (origin == Origin::Remote) {
        if (const auto allowed = check_remote_spin(options.remote_spin, record.spec, options.node); !allowed)
            return refused(refused_step, allowed.error());
        if (const auto allowed =
                check_remote_port(options.remote_spin, record, confines_ports_ || bind_programs_.usable());
            !allowed)
            return refused(refused_step, allowed.error());
    }
    if (const auto free = check_name(name); !free) return refused("name", free.error());
    if (const auto free = options.check_port(record.port.value_or(0), name); !free)
        return refused("port", free.error());
    const auto attempt = what == Act::Retry ? Attempt::Again : Attempt::First;
    auto content = transient_unit(record, options.node, origin, attempt);
    if (!content) return refused("command", content.error());
    return content;
}

asio::awaitable<Result<void>> Reconciler::Impl::prepare_data(std::string name, Facts now, Act what) {
    const auto& record = *now.record;
    const auto warn = [&](const std::string& message) {
        if (options.warn) options.warn(message, name);
    };
    const auto origin = state::Origins(own_).here(record) ? Origin::Local : Origin::Remote;
    const auto noted = options.data.note(name);
    const bool copied = noted && !*noted;
    const auto moved = options.data.prepare(record, origin);
    if (!moved) co_return std::unexpected(moved.error());
    // Whether there is anything in it, its user alone can see.
    if (!moved->empty())
        warn(fmt::format("the data directory of an earlier process '{}' is now {}", name, *moved));
    // Somebody may have copied files into it while it was down. What only restarts, or was lost with the
    // machine, is not gone through each time. A user of the machine may share files with groups of theirs:
    // those are left alone once they have been used here.
    const bool was_down =
        what == Act::Start && !(now.status && lost_with_its_boot(*now.status, options.boot_id));
    const bool all_its_own = record.spec.run.user.empty() || copied;
    const auto directory = was_down && all_its_own ? options.data.owned_directory(name) : std::string();
    if (directory.empty()) co_return Result<void>{};
    if (const auto disowned = co_await disown_data(systemd_, name, directory); !disowned)
        warn(fmt::format("files that were copied into {} may stay out of reach of '{}': {}", directory, name,
                         disowned.error().message));
    co_return Result<void>{};
}

asio::awaitable<bool> Reconciler::Impl::do_start(std::string name, Facts now, Act what) {
    if (!now.record) co_return true;
    const auto& record = *now.record;
    const auto before = now;
    auto status = draft(name, now);
    if (now.status && lost_with_its_boot(*now.status, options.boot_id))
        status.reason = lost_with_boot(options.ended_boot == now.status->boot_id, now);
    status.applied = wanted(record, now.local ? &*now.local : nullptr).change;
    status.digest = record.digest;
    status.invocation.clear();
    status.restarts = 0;
    write_state(status, ProcessState::Starting);
    now.status = status;

    auto content = permitted_unit(name, now, what);
    if (!content) co_return true;
    const auto confined = co_await confine(name, now, *content);
    if (stopping) co_return false;
    if (!confined && confined.error().code == ErrorCode::Unreachable) {
        retry_later(name);
        co_return false;
    }
    if (!confined) {
        refuse(now, refused_step, confined.error());
        co_return true;
    }
    if (record.spec.limits.memory_bytes && !net::limits_memory() && options.warn)
        options.warn(
            fmt::format("limits.memory of '{}' has no effect: this machine's kernel does not limit memory "
                        "(no memory controller; Raspberry Pi: cgroup_enable=memory in cmdline.txt)",
                        name),
            name);
    if (record.spec.run.data) {
        const auto prepared = co_await prepare_data(name, before, what);
        if (stopping) co_return false;
        if (!prepared) {
            refuse(now, "data", prepared.error());
            co_return true;
        }
    }
    {
        auto& slot = slots_[name];
        slot.end.reset();
        slot.outside = false;
        slot.former = slot.unit ? slot.unit->invocation : "";
        slot.retry.attempted = std::chrono::steady_clock::now();
        if (what != Act::Retry) slot.retry = {};
    }
    auto share = slots_[name].share;
    auto result = co_await systemd_.start_transient(unit_name(name), *content, std::move(share));
    slots_[name].former.clear();
    co_return co_await started(name, now, std::move(result));
}

asio::awaitable<bool> Reconciler::Impl::started(std::string name, Facts now, Result<std::string> result) {
    if (stopping) co_return false;
    if (!result && result.error().code == ErrorCode::Unreachable) {
        retry_later(name);
        co_return false;
    }
    if (!result && result.error().code == ErrorCode::Conflict) {
        auto& slot = slots_[name];
        // A unit of ours that was not known: an earlier p2prcd was ended before it could write down that it
        // had started it. It is looked at as one that was found.
        slot.adopted = slot.unit && slot.unit->process != 0 && !slot.unit->dead();
        if (slot.adopted) co_return true;
    }
    if (!result) {
        refuse(now, "unit", result.error());
        co_return true;
    }
    if (*result == "done") co_return true;
    // A job that failed tells nothing; the unit's own result does.
    if (!co_await do_conclude(name, now)) co_return false;
    const auto after = facts(name, slots_[name]);
    if (after.status && after.status->state == ProcessState::Starting && !slots_[name].unit)
        refuse(after, "unit",
               {ErrorCode::Failed, fmt::format("systemd's job to start it ended as '{}'", *result)});
    co_return true;
}

asio::awaitable<bool> Reconciler::Impl::do_stop(std::string name, Facts now, Act what) {
    if (!slots_[name].unit) co_return true;
    const bool kill = what == Act::Kill;
    if (const auto running = id_of(name, *slots_[name].unit); kill && now.id != running) {
        // The unit is that of a killed process whose name another has taken since.
        now.record.reset();
        now.id = running;
        const auto* status = written(now.id);
        now.status = status ? std::optional(*status) : std::nullopt;
    }
    const auto want = now.record ? wanted(*now.record, now.local ? &*now.local : nullptr) : Wanted{};
    write_state(draft(name, now), ProcessState::Stopping);
    const auto unit = unit_name(name);
    auto share = slots_[name].share;
    const auto result = co_await systemd_.stop(unit, std::move(share));
    if (stopping) co_return false;
    auto& slot = slots_[name];
    if (!result || (slot.unit && !slot.unit->dead())) {
        if (options.warn)
            options.warn(
                fmt::format("cannot stop '{}': {}", name,
                            result ? "systemd's job ended as '" + *result + "'" : result.error().message),
                name);
        retry_later(name);
        co_return false;
    }
    StopContext context;
    context.asked = kill ? StopContext::Asked::Kill : StopContext::Asked::Stop;
    context.by = kill ? now.killed_by : want.by;
    const auto reason = exit_reason(slot.end ? slot.end->result : UnitResult{}, context);
    slot.end.reset();
    slot.outside = false;
    if (slot.unit) co_await systemd_.reset_failed(unit);
    slots_[name].unit.reset();
    auto status = draft(name, now);
    if (now.record && what != Act::Restart) status.applied = want.change;
    status.reason = stamped(reason, now);
    write_state(std::move(status), ProcessState::Stopped);
    co_return true;
}

void Reconciler::Impl::retry_later(std::string name) {
    const auto timer = std::make_shared<asio::steady_timer>(loop_, retry_after);
    const std::weak_ptr<Impl> weak = weak_from_this();
    timer->async_wait([weak, timer, name](boost::system::error_code error) {
        const auto impl = weak.lock();
        if (impl && !error) impl->evaluate(name);
    });
}

} // namespace p2prc::process
