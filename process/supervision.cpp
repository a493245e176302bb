#include "process/supervision.h"

#include "core/stop_history.h"
#include "net/clock.h"
#include "process/unit_names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>

namespace p2prc::process {

namespace fs = std::filesystem;

Supervision::Supervision(boost::asio::any_io_executor executor, Systemd& manager, state::Replica& agreed,
                         state::OwnState& owned, JournalTail& tail, ReconcilerOptions given,
                         NodeRecords::UnitOf unit_of)
    : loop(std::move(executor))
    , systemd(manager)
    , replica(agreed)
    , own(owned)
    , journal(tail)
    , options(std::move(given))
    , records(replica, own, options.node, options.boot_id, std::move(unit_of))
    , ports(loop, systemd, records, options)
    , health(loop, systemd, options.health ? *options.health : Health::of_this_machine(&journal))
    , run_end(loop, systemd, journal)
    , deployments(loop, systemd, run_end, options.deployments, options.warn)
    , notifiers(loop, systemd, options.notifiers, options.warn)
    , owner_slices(systemd, own) {}

void Supervision::stop() {
    stopping = true;
    ports.stop();
    run_end.stop();
    deployments.stop();
}

void Supervision::warn(std::string_view message, std::string_view process) const {
    if (options.warn) options.warn(message, process);
}

Result<void> Supervision::check_name(std::string_view name) const {
    for (const auto& directory : options.unit_directories)
        for (const auto turn : {Turn::First, Turn::Second}) {
            const auto path = directory / unit_name(name, turn);
            std::error_code ignored;
            if (fs::symlink_status(path, ignored).type() == fs::file_type::not_found) continue;
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("the name '{}' is taken by the unit {}", name, path.string()),
                        "choose another name");
        }
    return {};
}

void Supervision::write(const ProcessStatus& status) {
    std::vector<state::Change> changes{{keys::status(options.node, status.id), status_to_json(status), 0}};
    const auto* before = records.status(status.id);
    if (status.reason && (!before || before->reason != status.reason)) {
        auto key = keys::stops(options.node, status.id);
        const auto kept = own.get(key);
        auto stops = with_stop(kept ? *kept : nlohmann::json(), *status.reason);
        changes.push_back({std::move(key), std::move(stops), 0});
    }
    own.update(std::move(changes));
}

void Supervision::write_state(ProcessStatus status, ProcessState state) {
    const auto* before = records.status(status.id);
    if (!before || before->state != state) status.since = net::now_rfc3339();
    status.state = state;
    status.node = options.node;
    status.boot_id = options.boot_id;
    // What is frozen keeps what it has.
    if (state != ProcessState::Running && state != ProcessState::Stopping && state != ProcessState::Paused) {
        status.pid = 0;
        status.memory_bytes.reset();
    }
    write(status);
}

StopReason Supervision::stamped(StopReason reason, std::uint64_t epoch) const {
    reason.node = options.node;
    reason.epoch = epoch;
    reason.at = net::now_rfc3339();
    return reason;
}

// Without a journal of before, all that is known is when it was found out.
StopReason Supervision::lost_with_boot(const ProcessStatus& before, std::uint64_t epoch) const {
    const bool clean_shutdown = options.ended_boot == before.boot_id;
    if (!boot_gap) return stamped(boot_reason(clean_shutdown), epoch);
    auto reason = boot_reason(clean_shutdown, rfc3339_of(boot_gap->from), rfc3339_of(boot_gap->to));
    auto at = reason.at;
    reason = stamped(std::move(reason), epoch);
    reason.at = std::move(at);
    return reason;
}

std::string rfc3339_of(std::uint64_t microseconds) {
    if (microseconds == 0) return net::now_rfc3339();
    return net::to_rfc3339(std::chrono::system_clock::time_point(std::chrono::microseconds(microseconds)));
}

} // namespace p2prc::process
