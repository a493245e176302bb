#include "process/transient_unit.h"

#include "core/data_paths.h"
#include "core/names.h"
#include "core/paths.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "process/command_drop_in.h"
#include "process/exit_reason.h"
#include "process/unit_names.h"

#include <fmt/format.h>
#include <syslog.h>

#include <algorithm>
#include <chrono>

namespace p2prc::process {
namespace {

using nlohmann::json;

constexpr std::uint64_t second = 1'000'000;           // systemd counts in microseconds
constexpr std::uint64_t clone_newcgroup = 0x02000000; // clone(2)
constexpr std::uint32_t last_port = 65535;
// Of what is done beside the processes: a fifth of what one of them has where both want it (default: 100).
constexpr std::uint64_t deploy_weight = 20;
// What a deployer's job takes beyond its own time: its end, and that of what it left.
constexpr std::chrono::seconds stop_reserve{60};
// Runs in the deployer's directory, as the deployer, when that has ended; its argument is the directory of
// the data. Half of a result is shown to nobody. In the place of each VOLUME comes a link into the data; what
// was there is what the data begins with.
constexpr const char* open_result = R"sh(cd "$DEPLOY" || exit 0
[ "$EXIT_CODE$EXIT_STATUS" = exited0 ] || exit 0
set -e
if [ -f .p2prc ] && [ ! -L .p2prc ]; then
    chmod 0644 .p2prc
    root=$(sed -n 's/^ROOT=//p' .p2prc)
    sed -n 's/^VOLUME=//p' .p2prc | while [ -n "$root" ] && IFS= read -r volume; do
        volume=${volume%"${volume##*[!/]}"}
        place=./$root/$volume first=./.p2prc-volumes/$volume
        mkdir -p "${place%/*}" "${first%/*}"
        if [ -L "$place" ] || [ ! -d "$place" ]; then rm -f "$place"; else mv "$place" "$first"; fi
        ln -s "$1/$volume" "$place"
    done
fi
chmod 0755 .)sh";
// Of one that runs as root, which makes the links by itself: it follows none.
constexpr const char* open_directory =
    R"sh([ "$EXIT_CODE$EXIT_STATUS" != exited0 ] || chmod 0755 "$DEPLOY")sh";
// The same of a builder, which may make what its own user's rights are in: nobody else is let into its
// directory before that is taken away.
constexpr const char* close_setuid = "if [ \"$EXIT_CODE$EXIT_STATUS\" = exited0 ]; then "
                                     "find \"$DEPLOY\" -xdev -type f -perm /6000 -exec chmod ug-s {} +; fi";
// As root: from where all builders may write to where only the superuser does. Another builder may have parts
// of it open, and may exchange it until it is there. So from its top on, and on the way to what is shown,
// each directory becomes root's once what has its name cannot be exchanged any more; what the deployer says
// is read from a copy. In the unit's own mounts these are two file systems, and a copy would share no file
// with the cache any more.
constexpr const char* keep_result = R"sh([ "$EXIT_CODE$EXIT_STATUS" = exited0 ] || exit 0
mkdir -p "${2%/*}" || exit 1
nsenter --target 1 --mount mv -T "$1" "$2" || mv -T "$1" "$2" || exit 1
[ -d "$2" ] && [ ! -L "$2" ] && chown root:root "$2" && chmod 0755 "$2" && cd "$2" || exit 1
[ -f .p2prc ] && [ ! -L .p2prc ] || exit 0
said=$(mktemp ./.p2prc.XXXXXX) && head -c 65537 .p2prc >"$said" && chmod 0644 "$said" && mv -fT "$said" .p2prc || exit 1
sed -n 's/^ROOT=//p; s/^DIR=//p' .p2prc | while IFS= read -r path; do
    here=. rest=$path/
    while [ -n "$rest" ]; do
        part=${rest%%/*} rest=${rest#*/}
        case $part in '' | .) continue ;; ..) break ;; esac
        here=$here/$part
        [ -d "$here" ] && [ ! -L "$here" ] || break
        chown root:root "$here" && chmod go-w "$here" || exit 1
    done
done)sh";
// Runs as the process, before it: a directory for each VOLUME of its data, which may be there already.
constexpr const char* make_volumes = R"sh(data=$1 result=$2
shift 2
umask 022
for volume; do
    place=$data/$volume first=$result/.p2prc-volumes/$volume
    if [ -e "$place" ] || [ -L "$place" ]; then continue; fi
    mkdir -p "${place%/*}"
    rm -rf "$place.p2prc-new"
    if [ -d "$first" ]; then cp -RP "$first" "$place.p2prc-new"; else mkdir "$place.p2prc-new"; fi
    chmod 0700 "$place.p2prc-new"
    mv "$place.p2prc-new" "$place"
done)sh";
// The same as the superuser, for what is to be mounted. Nothing else can write to the data meanwhile.
constexpr const char* make_mounted_volumes = R"sh(cd "$1" && result=$2 && umask 022
shift 2
for volume; do
    here=. rest=$volume/
    while [ -n "$rest" ]; do
        here=$here/${rest%%/*} rest=${rest#*/}
        if [ -L "$here" ] || { [ -e "$here" ] && [ ! -d "$here" ]; }; then
            echo "the volume $volume is not mounted: $here in the data is not a directory" >&2
            exit 1
        fi
    done
    place=./$volume first=$result/.p2prc-volumes/$volume
    if [ -e "$place" ]; then continue; fi
    mkdir -p "${place%/*}"
    rm -rf "$place.p2prc-new"
    if [ -d "$first" ]; then cp -a "$first" "$place.p2prc-new"; else mkdir "$place.p2prc-new"; fi
    mv -T "$place.p2prc-new" "$place"
done)sh";
constexpr std::chrono::seconds volumes_timeout{180};
// Runs as the process, between two of its revisions. Extents are shared where the file system can do that.
constexpr const char* copy_data = R"sh(find "$2" -mindepth 1 -delete
cp -a --reflink=auto "$1/." "$2/"
sync -f "$2")sh";
constexpr std::uint64_t cap_net_bind_service = std::uint64_t{1} << 10;

class Properties {
  public:
    void add(std::string name, std::string signature, json value) {
        list_.push_back({std::move(name), std::move(signature), std::move(value)});
    }
    void text(std::string name, std::string_view value) { add(std::move(name), "s", std::string(value)); }
    void flag(std::string name, bool value) { add(std::move(name), "b", value); }
    void number(std::string name, std::uint64_t value) { add(std::move(name), "t", value); }
    // In the place of what may have been said before.
    void replace(std::string name, std::string signature, json value) {
        std::erase_if(list_, [&name](const UnitProperty& property) { return property.name == name; });
        add(std::move(name), std::move(signature), std::move(value));
    }
    std::vector<UnitProperty> take() { return std::move(list_); }

  private:
    std::vector<UnitProperty> list_;
};

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

void add_lifetime(Properties& out, const ProcessRecord& record, Origin origin, Attempt attempt) {
    const auto& run = record.spec.run;
    const bool notifies = is_by(record.spec.ready.probe, Probe::Kind::Notify);
    // Not `simple`: that reports success before the command has been executed.
    out.text("Type", notifies ? "notify" : "exec");
    // systemd itself ends what is not ready in time, and goes by the policy of restarts then. It is the one
    // who hears EXTEND_TIMEOUT_USEC=.
    if (notifies) {
        const std::chrono::microseconds limit =
            ready_limit(record.spec.ready).value_or(default_ready_timeout);
        out.number("TimeoutStartUSec", static_cast<std::uint64_t>(limit.count()));
    }
    // Not `mixed`: that sends SIGTERM to the main process alone, and SIGKILL to all others as soon as it is
    // gone. The children of a start script would never be asked.
    out.text("KillMode", "control-group");
    out.number("TimeoutStopUSec", 30 * second);
    out.text("Restart", restart_name(run.restart));
    out.number("RestartUSec", 1 * second);
    out.number("StartLimitIntervalUSec", 60 * second);
    out.add("StartLimitBurst", "u", attempt == Attempt::First ? 5 : 1);
    // The command could not be executed at all; trying again after a second helps none of these.
    json statuses = json::array();
    for (int status = first_exec_status; status <= last_exec_status; ++status)
        statuses.push_back(status);
    out.add("RestartPreventExitStatus", "(aiai)", json::array({statuses, json::array()}));
    // For programs that watch over themselves: sd_notify(3), WATCHDOG_USEC=. A command often runs under a
    // shell, so it need not come from the main process. EXTEND_TIMEOUT_USEC= comes by the same socket, and
    // with it a process that ignores SIGTERM puts off its own end, and the machine's shutdown, for as long as
    // it likes: another node's process gets no such socket, unless this machine's owner allows it
    // ready.notify (core/remote_spin.h).
    out.text("NotifyAccess", origin == Origin::Local || notifies ? "all" : "none");
    // A job's own limit cannot be extended, so that a shutdown goes on. JobTimeoutUSec cannot be set for a
    // transient unit (systemd 252).
    out.number("JobRunningTimeoutUSec", std::chrono::microseconds(job_timeout).count());
    out.text("OOMPolicy", "stop");
}

void add_environment(Properties& out, const std::map<std::string, std::string>& environment) {
    json assignments = json::array();
    for (const auto& [name, value] : environment)
        assignments.push_back(name + "=" + value);
    if (!assignments.empty()) out.add("Environment", "as", assignments);
}

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

// What no process needs, whoever it runs as.
void add_common_sandbox(Properties& out) {
    for (const auto* name : {"NoNewPrivileges", "PrivateTmp", "ProtectKernelTunables", "ProtectKernelModules",
                             "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock", "ProtectHostname",
                             "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"})
        out.flag(name, true);
}

bool has_low_port(const ProcessRecord& record) {
    const auto ports = ports_of(record);
    return !ports.empty() && ports.front() < first_free_port;
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

// A dynamic user's sandbox: writes to its data directory and nowhere else.
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

// As whom, with what and in which sandbox a command of the process runs.
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

std::optional<BindRule> bind_rule(const ProcessRecord& record) {
    if (record.spec.run.user.empty()) return BindRule{ports_of(record), false};
    if (!has_low_port(record) || record.spec.run.user == "root") return std::nullopt;
    return BindRule{ports_of(record), true};
}

void add_bind_programs(TransientUnit& content, const BindRule& rule) {
    json programs = json::array();
    for (const auto family : {BindFamily::Inet4, BindFamily::Inet6})
        programs.push_back(
            json::array({bind_attach_name(family),
                         fmt::format("{}/{}", bind_programs_directory, bind_program_name(family, rule))}));
    content.properties.push_back({"BPFProgram", "a(ss)", std::move(programs)});
    // As root and outside of the sandbox ("+", systemd.service(5)), which may not call bpf(2). A condition
    // and no ExecStartPre=: where it fails systemd does not try again by the policy of restarts, and
    // credentials are not looked at before the command's own turn.
    content.drop_in += fmt::format("ExecCondition=+{}/p2prcd-ports {} {}\n", paths::libexec,
                                   bind_attach_option, bind_rule_name(rule));
}

void set_slice(TransientUnit& content, std::string_view slice) {
    for (auto& property : content.properties)
        if (property.name == "Slice") property.value = std::string(slice);
}

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

Result<void> check_remote_port(RemoteSpin policy, const ProcessRecord& record, bool confines_ports) {
    if (policy == RemoteSpin::Any || confines_ports || !has_low_port(record)) return {};
    return fail(
        ErrorCode::NotPermitted,
        fmt::format("this node cannot keep '{}' to port {}: it could listen at every port below "
                    "{}",
                    record.spec.name, ports_of(record).front(), first_free_port),
        fmt::format("give it a port from {} on: a domain can be mapped to any port", first_free_port));
}

Result<TransientUnit> transient_unit(const ProcessRecord& record, std::string_view node, Origin origin,
                                     Attempt attempt) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    auto drop_in = command_drop_in(record.spec.run);
    if (!drop_in) return std::unexpected(drop_in.error());
    Properties out;
    out.text("Description", fmt::format("p2prc process {}", record.name));
    add_identity(out, record, node);
    add_lifetime(out, record, origin, attempt);
    add_execution(out, record, origin);
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

std::vector<UnitProperty> limit_properties(const LimitsSpec& limits) {
    constexpr std::uint64_t none = UINT64_MAX; // "infinity", for all of them
    Properties out;
    out.number("MemoryMax", limits.memory_bytes.value_or(none));
    out.number("MemorySwapMax", limits.memory_bytes ? 0 : none);
    out.number("CPUQuotaPerSecUSec", limits.cpu_percent ? *limits.cpu_percent * second / 100 : none);
    out.number("TasksMax", limits.tasks ? *limits.tasks : none);
    return std::move(out).take();
}

std::vector<UnitProperty> port_properties(const ProcessRecord& record) {
    Properties out;
    add_ports(out, record, 1, last_port);
    return out.take();
}

bool waits_for_ready(const TransientUnit& unit) {
    return std::ranges::any_of(unit.properties, [](const UnitProperty& property) {
        return property.name == "Type" && property.value == "notify";
    });
}

std::string probe_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-probe-{}.service", process_name);
}

namespace {

// A unit that runs a command once as the process; `what` it is, such as "Probe". Without the lines in which
// systemd says that it starts and has ended; what the command itself says is kept.
Properties once_as_process(const ProcessRecord& record, Origin origin, std::string_view what,
                           std::string_view suffix, std::chrono::seconds timeout) {
    Properties out;
    out.text("Description", fmt::format("{} of p2prc process {}", what, record.name));
    out.text("Slice", process_slice);
    out.text("CollectMode", "inactive-or-failed");
    out.text("SyslogIdentifier", fmt::format("{}-{}", record.name, suffix));
    out.add("LogLevelMax", "i", LOG_NOTICE);
    out.add("SyslogLevel", "i", LOG_NOTICE);
    out.text("Type", "oneshot");
    out.text("KillMode", "control-group");
    out.number("TimeoutStartUSec", std::chrono::microseconds(timeout).count());
    out.number("TimeoutStopUSec", 2 * second);
    out.text("NotifyAccess", "none");
    add_execution(out, record, origin);
    return out;
}

} // namespace

Result<TransientUnit> probe_unit(const ProcessRecord& record, Origin origin, const Probe& probe) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    auto drop_in = command_drop_in({.command = probe.command, .shell = probe.shell});
    if (!drop_in) return std::unexpected(drop_in.error());
    auto out = once_as_process(record, origin, "Probe", "probe", probe_command_timeout);
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

std::string volumes_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-volumes-{}.service", process_name);
}

Result<TransientUnit> volumes_unit(ProcessRecord record, Origin origin,
                                   const std::vector<std::string>& volumes, bool mounted) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    std::vector<std::string> command{"/bin/sh",
                                     "-euc",
                                     mounted ? make_mounted_volumes : make_volumes,
                                     "make_volumes",
                                     data_directory(record.name),
                                     std::string(shown_result)};
    command.insert(command.end(), volumes.begin(), volumes.end());
    auto drop_in = command_drop_in({.command = std::move(command)});
    if (!drop_in) return std::unexpected(drop_in.error());
    record.spec.run.root.clear(); // whose directory may have no shell
    record.spec.run.credentials.clear();
    auto out = once_as_process(record, origin, "Volumes", "volumes", volumes_timeout);
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

std::string copy_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-copy-{}.service", process_name);
}

Result<TransientUnit> copy_unit(ProcessRecord record, Origin origin) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    const auto data = data_directory(record.name);
    auto drop_in = command_drop_in(
        {.command = {"/bin/sh", "-euc", copy_data, "copy_data", data, fmt::format("{}.copying", data)}});
    if (!drop_in) return std::unexpected(drop_in.error());
    record.spec.run.root.clear(); // whose directory may have no shell
    record.spec.run.credentials.clear();
    record.spec.run.environment.clear();
    record.spec.limits = {}; // of the process; this has its time
    auto out = once_as_process(record, origin, "Copy of the data", "copy", copy_timeout);
    out.replace("StateDirectory", "as",
                json::array({fmt::format("p2prc-data/{}", record.name),
                             fmt::format("p2prc-data/{}.copying", record.name)}));
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

std::string deploy_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-deploy-{}.service", process_name);
}

namespace {

// What comes before a builder, and after it.
Result<std::pair<std::string, std::string>> builder_drop_in(const DeployRun& run) {
    const auto directory = fmt::format("/var/lib/{}", run.work);
    const auto made =
        command_line_drop_in("ExecStartPre", {"/bin/sh", "-c", R"(umask 077 && mkdir -p "$2" && mkdir "$1")",
                                              "mkdir", directory, fmt::format("/var/lib/{}", run.cache)});
    auto closed = command_line_drop_in("ExecStopPost", {"/bin/sh", "-c", close_setuid});
    const auto kept = command_line_drop_in(
        "ExecStopPost",
        {"/bin/sh", "-c", keep_result, "mv", directory, fmt::format("/var/lib/{}", run.place)}, As::Root);
    for (const auto* part : std::initializer_list<const Result<std::string>*>{&made, &closed, &kept})
        if (!*part) return std::unexpected(part->error());
    return std::pair{*made + *closed, *kept};
}

} // namespace

Result<TransientUnit> deploy_unit(const ProcessRecord& record, std::string_view node, Origin origin,
                                  const DeployRun& run) {
    if (const auto named = check_names(record); !named) return std::unexpected(named.error());
    auto drop_in = command_drop_in({.command = {run.program}});
    // systemd makes its directory, with that of the data, for the user alone. p2prcd, which has no capability
    // to pass over that, reads the result as any other user.
    const auto* open = run.as == DeployerClass::Root ? open_directory : open_result;
    const auto opened = command_line_drop_in(
        "ExecStopPost", {"/bin/sh", "-c", open, "open_result", data_directory(record.name)});
    if (!drop_in || !opened) return std::unexpected(drop_in ? opened.error() : drop_in.error());
    ProcessRecord runs_as = record;
    runs_as.spec.run.credentials.clear();
    runs_as.spec.run.root.clear(); // it is a program of the machine
    for (const auto& [name, value] : run.environment)
        runs_as.spec.run.environment[name] = value;
    const bool builds = run.as == DeployerClass::Builder;
    const auto directory = fmt::format("/var/lib/{}", builds ? run.work : run.place);
    Properties out;
    out.text("Description", fmt::format("Deployment of p2prc process {}", record.name));
    add_identity(out, record, node);
    // Not "oneshot": a machine has not finished booting while one of systemd's jobs runs, and a deployment
    // may take an hour. That it "remains" keeps how it ended until that was read; SIGTERM, sent by anybody,
    // would be a success.
    out.text("Type", "exec");
    out.flag("RemainAfterExit", true);
    out.text("KillMode", "control-group");
    out.number("RuntimeMaxUSec", std::chrono::microseconds(run.timeout).count());
    out.number("TimeoutStopUSec", 10 * second);
    out.text("NotifyAccess", "none");
    out.number("CPUWeight", deploy_weight);
    out.number("IOWeight", deploy_weight);
    json directories = json::array();
    auto extra = *opened;
    if (run.as == DeployerClass::Process) {
        add_execution(out, runs_as, origin);
        if (record.spec.run.data) directories.push_back(fmt::format("p2prc-data/{}", record.name));
    } else if (builds) {
        // Its limits and ports are the process's own.
        ProcessRecord nobody;
        nobody.name = record.name;
        out.text("User", builder_user);
        add_common_sandbox(out);
        // Images have files with these bits, and unpacking one fails where they cannot be set.
        out.replace("RestrictSUIDSGID", "b", false);
        add_strict_sandbox(out, nobody, origin);
        // Not that of the process: a part of its commands runs as root, and all of them with more rights.
        add_environment(out, run.environment);
        auto before = builder_drop_in(run);
        if (!before) return std::unexpected(before.error());
        extra = before->first + extra + before->second;
    } else {
        out.flag("PrivateTmp", true);
        out.text("ProtectHome", "yes");
        add_environment(out, runs_as.spec.run.environment);
    }
    if (builds) {
        directories.push_back(fmt::format("{}/{}", deploy_directory, builder_directory));
    } else {
        directories.push_back(run.place);
        out.add("CacheDirectory", "as", json::array({fmt::format("{}/{}", deploy_directory, record.name)}));
        out.add("CacheDirectoryMode", "u", 0700);
    }
    out.replace("StateDirectory", "as", std::move(directories));
    out.replace("StateDirectoryMode", "u", builds ? 0755 : 0700);
    // A builder's is made by its first command.
    out.replace("WorkingDirectory", "s", builds ? "-" + directory : directory);
    if (!run.previous.empty())
        out.add("BindReadOnlyPaths", "a(ssbt)",
                json::array({json::array({run.previous, shown_result, false, 0})}));
    if (!run.groups.empty()) out.add("SupplementaryGroups", "as", run.groups);
    if (!run.network) out.flag("PrivateNetwork", true);
    TransientUnit unit{out.take(), *drop_in + extra, run.script, run.timeout + stop_reserve};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

} // namespace p2prc::process
