#include "process/transient_unit.h"

#include "core/data_paths.h"
#include "core/paths.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "process/command_drop_in.h"
#include "process/exit_reason.h"
#include "process/unit_names.h"
#include "process/unit_properties.h"

#include <fmt/format.h>
#include <syslog.h>

#include <algorithm>
#include <chrono>

namespace p2prc::process {
namespace {

using nlohmann::json;

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
    // A container's data may have files with these bits, and the copy has them, too.
    if (record.spec.run.user == "root") out.replace("RestrictSUIDSGID", "b", false);
    TransientUnit unit{out.take(), std::move(*drop_in)};
    if (const auto plain = check_properties(unit.properties); !plain) return std::unexpected(plain.error());
    return unit;
}

} // namespace p2prc::process
