#include "daemon/status_log.h"

#include "core/keys.h"
#include "core/process_status.h"
#include "net/log.h"
#include "process/unit_names.h"

#include <fmt/format.h>

#include <map>

namespace p2prc::daemon {
namespace {

void log_failure(const ProcessStatus& status) {
    const auto id = std::to_string(status.id);
    const std::string reason(stop_kind_name(status.reason->kind));
    // UNIT makes `journalctl -u p2prc-NAME` show the line, too.
    const auto unit = process::unit_name(status.name, process::turn_of(status));
    net::log_warning(fmt::format("{}: {}", status.name, reason_text(*status.reason)),
                     {{"MESSAGE_ID", message_process_stopped},
                      {"FLEET_PROCESS", id},
                      {"FLEET_NAME", status.name},
                      {"FLEET_REASON", reason},
                      {"UNIT", unit}});
}

} // namespace

state::Subscription log_failures(state::OwnState& own) {
    std::map<std::string, std::string> told; // key -> when it failed
    for (const auto& [key, value] : own.range(keys::statuses))
        if (const auto status = status_from_json(*value); status.reason)
            told[std::string(key)] = status.reason->at;
    return own.subscribe(std::string(keys::statuses), [told](std::span<const state::Change> changes) mutable {
        for (const auto& change : changes) {
            if (!change.value) {
                told.erase(change.key);
                continue;
            }
            const auto status = status_from_json(*change.value);
            if (status.state != ProcessState::Failed || !status.reason) continue;
            auto& last = told[change.key];
            if (last == status.reason->at) continue;
            last = status.reason->at;
            log_failure(status);
        }
    });
}

} // namespace p2prc::daemon
