#include "daemon/api/usage.h"

#include "core/process_status.h"
#include "daemon/api/documents.h"
#include "net/clock.h"
#include "process/unit_names.h"
#include "process/usage.h"

#include <chrono>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// Shorter than the shortest interval of `p2prc top`.
constexpr std::chrono::milliseconds fresh_usage{200};

std::uint64_t boottime_usec() {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(net::boottime()).count());
}

} // namespace

UsageMeter::UsageMeter(asio::any_io_executor executor, const View& view, Helpers& helpers)
    : view_(&view)
    , helpers_(&helpers)
    , shared_(std::move(executor), fresh_usage) {}

asio::awaitable<Result<Json>> UsageMeter::measure() {
    const SharedAnswer::Ask ask = [this] { return measure_now(); };
    return shared_.get(ask);
}

asio::awaitable<Result<Json>> UsageMeter::measure_now() {
    co_await helpers_->ask_traffic();
    NodeUsage usage;
    usage.measured_usec = boottime_usec();
    const auto node = view_->node();
    for (const ProcessRecord& record : view_->processes()) {
        if (record.node != node) continue;
        const auto* status = view_->status(record);
        if (status && is_executed(*status)) usage.processes.emplace(record.id, usage_of(record, *status));
    }
    co_return to_json(usage);
}

ProcessUsage UsageMeter::usage_of(const ProcessRecord& record, const ProcessStatus& status) const {
    const process::Usage group =
        process::read_usage(process::unit_name(record.name, process::turn_of(status)));
    ProcessUsage usage;
    usage.invocation = status.invocation;
    usage.memory_bytes = group.memory_bytes;
    usage.cpu_usec = group.cpu_usec;
    usage.io_read_bytes = group.io_read_bytes;
    usage.io_written_bytes = group.io_written_bytes;
    usage.tasks = group.tasks;
    for (const DomainRecord* domain : view_->domains_of(record)) {
        const auto traffic = helpers_->traffic(domain->mapping_id);
        if (!traffic) continue;
        usage.connections = usage.connections.value_or(0) + traffic->connections;
        usage.received_bytes = usage.received_bytes.value_or(0) + traffic->received_bytes;
        usage.sent_bytes = usage.sent_bytes.value_or(0) + traffic->sent_bytes;
    }
    return usage;
}

Json usage_row(const View& view, const ProcessRecord& record, const NodeUsage* usage) {
    const Json process = process_row(view, record);
    Json row;
    for (const auto* key : {"id", "name", "node", "state", "waits_for", "restarts", "reason"})
        row[key] = process.at(key);
    if (!usage) return row;
    const auto measured = usage->processes.find(record.id);
    if (measured == usage->processes.end()) return row;
    row.update(to_json(measured->second));
    row["measured_usec"] = usage->measured_usec;
    return row;
}

} // namespace p2prc::daemon
