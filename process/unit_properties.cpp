#include "process/unit_properties.h"

#include "core/data_paths.h"
#include "core/names.h"
#include "process/unit_names.h"

#include <fmt/format.h>

#include <chrono>

namespace p2prc::process {
namespace {

using nlohmann::json;

constexpr std::uint64_t clone_newcgroup = 0x02000000; // clone(2)
constexpr std::uint32_t last_port = 65535;
constexpr std::uint64_t cap_net_bind_service = std::uint64_t{1} << 10;

void add_files(Properties& out, const ProcessRecord& record) {
    const auto& run = record.spec.run;
    const auto data = data_directory(record.name);
    if (run.data) {
        out.add("StateDirectory", "as", json::array({fmt::format("p2prc-data/{}", record.name)}));
        out.add("StateDirectoryMode", "u", 0700);
        // Of another root, systemd changes to the directory of that name before commands outside of it, too.
        out.text("WorkingDirectory", run.root.empty() ? data : "-" + data);
    }
    std::map<std::string, std::string> environment = run.environment;
    // systemd names that of a dynamic user as it is in the machine's own root.
    if (run.data && !run.root.empty()) environment["STATE_DIRECTORY"] = data;
    if (record.port) environment.emplace("PORT", std::to_string(*record.port));
    // A dynamic user's home is "/", where it can write nothing.
    if (run.data && run.user.empty()) environment.emplace("HOME", data);
    add_environment(out, environment);
    json credentials = json::array();
    for (const auto& [name, path] : run.credentials)
        credentials.push_back(json::array({name, path}));
    if (!credentials.empty()) out.add("LoadCredential", "a(ss)", credentials);
}

void add_limits(Properties& out, const LimitsSpec& limits) {
    for (const auto* kind : {"CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting"})
        out.flag(kind, true);
    if (limits.memory_bytes) {
        out.number("MemoryMax", *limits.memory_bytes);
        // Beyond its limit it ends; it does not go on in swap, where it takes the machine along.
        out.number("MemorySwapMax", 0);
    }
    if (limits.cpu_percent) out.number("CPUQuotaPerSecUSec", *limits.cpu_percent * second / 100);
    if (limits.tasks) out.number("TasksMax", *limits.tasks);
}

// What it may bind, by systemd.resource-control(5), SocketBindAllow=. Rules are of a family, a protocol (0:
// any), a number of ports and the first of them. Port 0, for which the kernel chooses one, stays allowed:
// clients of UDP bind it, and connect(2) and listen(2) choose a port without being asked.
void add_ports(Properties& out, const ProcessRecord& record, std::uint32_t first_denied,
               std::uint32_t last_denied) {
    json allowed = json::array();
    for (const auto port : ports_of(record))
        allowed.push_back(json::array({0, 0, 1, port}));
    if (!allowed.empty()) out.add("SocketBindAllow", "a(iiqq)", std::move(allowed));
    out.add("SocketBindDeny", "a(iiqq)",
            json::array({json::array({0, 0, last_denied - first_denied + 1, first_denied})}));
}

// A user of the machine listens at its process's port as a dynamic user does. What it may bind otherwise is
// not ours to say, but for the ports that the capability opens, too.
void add_low_port(Properties& out, const ProcessRecord& record) {
    if (!has_low_port(record) || record.spec.run.user == "root") return;
    out.number("AmbientCapabilities", cap_net_bind_service);
    add_ports(out, record, 1, first_free_port - 1);
}

// The journal forgets its oldest lines when it is full, those of this machine's own programs too. journald's
// limit counts messages: one by its sockets may be as large as the sender likes (768 MiB, sealed memfd), one
// line of output has 48 KiB at most (LineMax=). The output of a process of another node arrives nevertheless:
// PID 1 connects it before these paths are closed. What PID 1 does not take by its own socket it writes to
// the journal, one line a message.
void add_quiet(Properties& out, const ProcessRecord& record) {
    json closed = json::array({"-/run/systemd/journal"});
    if (!is_by(record.spec.ready.probe, Probe::Kind::Notify)) closed.push_back("-/run/systemd/notify");
    out.add("InaccessiblePaths", "as", std::move(closed));
    // A tenth of what journald lets by itself. It multiplies both where the disk has room (burst_modulate()).
    out.number("LogRateLimitIntervalUSec", 30 * second);
    out.add("LogRateLimitBurst", "u", 1000);
}

// What names lead to is the machine's matter, and there is a /proc, /dev, /sys, /run and /tmp as ever:
// systemd makes what it mounts upon.
void add_root(Properties& out, const std::string& root) {
    if (root.empty()) return;
    out.text("RootDirectory", root);
    // What keeps it to its ports is a program of the machine, see add_bind_programs().
    out.flag("RootDirectoryStartOnly", true);
    out.flag("MountAPIVFS", true);
    out.replace("ProtectHome", "s", "no"); // homes of that root are its own
    json shown = json::array();
    for (const auto* file : {"/etc/resolv.conf", "/etc/hosts"})
        shown.push_back(json::array({file, file, true, 0}));
    out.add("BindReadOnlyPaths", "a(ssbt)", std::move(shown));
}

} // namespace

Result<void> check_names(const ProcessRecord& record) {
    if (auto named = check_process_name(record.name); !named) return named;
    if (record.name == record.spec.name) return {};
    return fail(ErrorCode::InvalidSpec,
                fmt::format("the record of '{}' holds the specification of another process", record.name));
}

void add_identity(Properties& out, const ProcessRecord& record, std::string_view node) {
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

void add_environment(Properties& out, const std::map<std::string, std::string>& environment) {
    json assignments = json::array();
    for (const auto& [name, value] : environment)
        assignments.push_back(name + "=" + value);
    if (!assignments.empty()) out.add("Environment", "as", assignments);
}

bool has_low_port(const ProcessRecord& record) {
    const auto ports = ports_of(record);
    return !ports.empty() && ports.front() < first_free_port;
}

void add_common_sandbox(Properties& out) {
    for (const auto* name : {"NoNewPrivileges", "PrivateTmp", "ProtectKernelTunables", "ProtectKernelModules",
                             "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
                             "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"})
        out.flag(name, true);
}

void add_strict_sandbox(Properties& out, const ProcessRecord& record, Origin origin) {
    const std::uint64_t capabilities = has_low_port(record) ? cap_net_bind_service : 0;
    out.number("CapabilityBoundingSet", capabilities);
    if (has_low_port(record)) out.number("AmbientCapabilities", capabilities);
    add_ports(out, record, 1, last_port);
    out.text("ProtectSystem", "strict");
    // A local user may run a script that lies in a home; what comes from another node sees no home.
    out.text("ProtectHome", origin == Origin::Local ? "read-only" : "yes");
    out.text("ProtectProc", "invisible");
    out.flag("PrivateDevices", true);
    // What ProtectSystem=strict leaves: systemd 252 keeps /run, and /run/lock with it, as they were where the
    // machine is a container, and PrivateDevices= binds the machine's own /dev/shm and /dev/mqueue. What is
    // written there takes the machine's memory, and outlives the process.
    out.add("ReadOnlyPaths", "as", json::array({"-/run"}));
    if (origin == Origin::Remote) add_quiet(out, record);
    out.flag("PrivateIPC", true);
    // Without `size=`, for which systemd takes a tenth of the memory: systemd 252 writes a percent sign into
    // the unit's file as it is, and reads a specifier after a reload.
    out.add("TemporaryFileSystem", "a(ss)", json::array({json::array({"/dev/shm", "mode=1777"})}));
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

void add_execution(Properties& out, const ProcessRecord& record, Origin origin) {
    const auto& user = record.spec.run.user;
    if (user.empty()) {
        out.flag("DynamicUser", true);
        out.text("User", dynamic_user(record.name));
    } else {
        out.text("User", user);
    }
    add_files(out, record);
    add_limits(out, record.spec.limits);
    add_common_sandbox(out);
    if (user.empty())
        add_strict_sandbox(out, record, origin);
    else
        add_low_port(out, record);
    add_root(out, record.spec.run.root);
}

std::vector<UnitProperty> port_properties(const ProcessRecord& record) {
    Properties out;
    add_ports(out, record, 1, last_port);
    return out.take();
}

} // namespace p2prc::process
