#include "daemon/process/transient_unit.h"

#include "core/names.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "daemon/process/command_drop_in.h"
#include "daemon/process/exit_reason.h"
#include "daemon/process/unit_names.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon {
namespace {

using nlohmann::json;

constexpr std::uint64_t second = 1'000'000;           // systemd counts in microseconds
constexpr std::uint64_t clone_newcgroup = 0x02000000; // clone(2)
constexpr std::uint64_t cap_net_bind_service = std::uint64_t{1} << 10;

class Properties {
  public:
    void add(std::string name, std::string signature, json value) {
        list_.push_back({std::move(name), std::move(signature), std::move(value)});
    }
    void text(std::string name, std::string_view value) { add(std::move(name), "s", std::string(value)); }
    void flag(std::string name, bool value) { add(std::move(name), "b", value); }
    void number(std::string name, std::uint64_t value) { add(std::move(name), "t", value); }
    std::vector<UnitProperty> take() { return std::move(list_); }

  private:
    std::vector<UnitProperty> list_;
};

void add_identity(Properties& out, const ProcessRecord& record, std::string_view node) {
    out.text("Description", fmt::format("p2prc process {}", record.name));
    out.text("Slice", process_slice);
    // A unit that failed stays loaded until we have read why, also when p2prcd was down at the time; one that
    // ended well goes by itself.
    out.text("CollectMode", "inactive");
    out.text("SyslogIdentifier", record.name);
    out.add(
        "LogExtraFields", "aay",
        json::array({fmt::format("{}={}", field_process, record.id), fmt::format("{}={}", field_node, node),
                     fmt::format("{}={}", field_digest, record.digest)}));
}

void add_lifetime(Properties& out, const ProcessRecord& record) {
    const auto& run = record.spec.run;
    // Not `simple`: that reports success before the command has been executed.
    out.text("Type", "exec");
    out.text("KillMode", "mixed");
    out.number("TimeoutStopUSec", 30 * second);
    out.text("Restart", restart_name(run.restart));
    out.number("RestartUSec", 1 * second);
    out.number("StartLimitIntervalUSec", 60 * second);
    out.add("StartLimitBurst", "u", 5);
    // The command could not be executed at all; trying again after a second helps none of these.
    json statuses = json::array();
    for (int status = first_exec_status; status <= last_exec_status; ++status)
        statuses.push_back(status);
    out.add("RestartPreventExitStatus", "(aiai)", json::array({statuses, json::array()}));
    // For programs that watch over themselves: sd_notify(3), WATCHDOG_USEC=. A command often runs under a
    // shell, so it need not come from the main process.
    out.text("NotifyAccess", "all");
    out.text("OOMPolicy", "stop");
}

void add_files(Properties& out, const ProcessRecord& record) {
    const auto& run = record.spec.run;
    const auto data = data_directory(record.name);
    if (run.data) {
        out.add("StateDirectory", "as", json::array({fmt::format("p2prc-data/{}", record.name)}));
        out.add("StateDirectoryMode", "u", 0700);
        out.text("WorkingDirectory", data);
    }
    std::map<std::string, std::string> environment = run.environment;
    if (record.port) environment.emplace("PORT", std::to_string(*record.port));
    // A dynamic user's home is "/", where it can write nothing.
    if (run.data && run.user.empty()) environment.emplace("HOME", data);
    json assignments = json::array();
    for (const auto& [name, value] : environment)
        assignments.push_back(name + "=" + value);
    if (!assignments.empty()) out.add("Environment", "as", assignments);
    json credentials = json::array();
    for (const auto& [name, path] : run.credentials)
        credentials.push_back(json::array({name, path}));
    if (!credentials.empty()) out.add("LoadCredential", "a(ss)", credentials);
}

void add_limits(Properties& out, const LimitsSpec& limits) {
    for (const auto* kind : {"CPUAccounting", "MemoryAccounting", "TasksAccounting"})
        out.flag(kind, true);
    if (limits.memory_bytes) out.number("MemoryMax", *limits.memory_bytes);
    if (limits.cpu_percent) out.number("CPUQuotaPerSecUSec", *limits.cpu_percent * second / 100);
    if (limits.tasks) out.number("TasksMax", *limits.tasks);
}

// What no process needs, whoever it runs as.
void add_common_sandbox(Properties& out) {
    for (const auto* name : {"NoNewPrivileges", "PrivateTmp", "ProtectKernelTunables", "ProtectKernelModules",
                             "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
                             "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"})
        out.flag(name, true);
}

// A dynamic user's sandbox: writes to its data directory and nowhere else.
void add_strict_sandbox(Properties& out, const ProcessRecord& record, Origin origin) {
    const bool low_port = record.port && *record.port < 1024;
    const std::uint64_t capabilities = low_port ? cap_net_bind_service : 0;
    out.number("CapabilityBoundingSet", capabilities);
    if (low_port) out.number("AmbientCapabilities", capabilities);
    out.text("ProtectSystem", "strict");
    // A local user may run a script that lies in a home; what comes from another node sees no home.
    out.text("ProtectHome", origin == Origin::Local ? "read-only" : "yes");
    out.text("ProtectProc", "invisible");
    out.flag("PrivateDevices", true);
    // A mask of those allowed. None at all is written as the empty string, which systemd 252 reads as no
    // restriction after a reload; a cgroup namespace takes a capability that the process does not have.
    out.number("RestrictNamespaces", clone_newcgroup);
    out.add("RestrictAddressFamilies", "(bas)",
            json::array({true, json::array({"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"})}));
    // `native` also keeps a start cheap: libseccomp compiles a filter for each architecture.
    out.add("SystemCallArchitectures", "as", json::array({"native"}));
    out.add("SystemCallFilter", "(bas)", json::array({true, json::array({"@system-service"})}));
    out.add("SystemCallErrorNumber", "i", 1); // EPERM
}

// The names are checked where a record is taken in; here they become lines of a unit and paths.
Result<void> check_names(const ProcessRecord& record) {
    if (auto named = check_process_name(record.name); !named) return named;
    if (record.name == record.spec.name) return {};
    return fail(ErrorCode::InvalidSpec,
                fmt::format("the record of '{}' holds the specification of another process", record.name));
}

bool has_controls(const json& value) {
    if (value.is_string()) return text::has_controls(value.get_ref<const std::string&>());
    return value.is_array() && std::ranges::any_of(value, has_controls);
}

} // namespace

Result<void> check_properties(const std::vector<UnitProperty>& properties) {
    for (const auto& property : properties) {
        // The one list that systemd writes with escapes (bus_exec_context_set_transient_property), and whose
        // values may well have several lines.
        if (property.name == "Environment" || !has_controls(property.value)) continue;
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("{} of the unit has a control character", property.name),
                    "names, users and paths are plain text");
    }
    return {};
}

Result<void> check_remote_spin(RemoteSpin policy, const ProcessSpec& spec) {
    switch (policy) {
    case RemoteSpin::Any:
        return {};
    case RemoteSpin::No:
        return fail(ErrorCode::NotPermitted, "this node runs no processes for other nodes",
                    "its owner can set `[remote] spin` in /etc/p2prc/p2prcd.toml");
    case RemoteSpin::Sandboxed:
        break;
    }
    const auto* refused = !spec.run.user.empty()          ? "run.user"
                          : !spec.run.credentials.empty() ? "run.credentials"
                                                          : nullptr;
    if (!refused) return {};
    return fail(
        ErrorCode::NotPermitted,
        fmt::format("this node runs processes of other nodes in a sandbox only, and '{}' sets {}", spec.name,
                    refused),
        fmt::format("leave {} out, or let its owner set `[remote] spin = \"any\"` in /etc/p2prc/p2prcd.toml",
                    refused));
}

Result<TransientUnit> transient_unit(const ProcessRecord& record, std::string_view node, Origin origin) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    auto drop_in = command_drop_in(record.spec.run);
    if (!drop_in) return std::unexpected(drop_in.error());
    Properties out;
    add_identity(out, record, node);
    add_lifetime(out, record);
    const auto& user = record.spec.run.user;
    if (user.empty()) {
        out.flag("DynamicUser", true);
        out.text("User", dynamic_user(record.id));
    } else {
        out.text("User", user);
    }
    add_files(out, record);
    add_limits(out, record.spec.limits);
    add_common_sandbox(out);
    if (user.empty()) add_strict_sandbox(out, record, origin);
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

} // namespace p2prc::daemon
