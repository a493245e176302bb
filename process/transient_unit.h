// From a process's spec to the properties of its transient unit: a function from value to value.
#pragma once

#include "core/bind_rule.h"
#include "core/error.h"
#include "core/records.h"
#include "core/remote_spin.h"
#include "net/fd.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// Longer than a stop may take by the limits of the unit, 30 s each: two stop commands, the main process, what
// is left of it, and the same once more if a child outlives SIGTERM.
inline constexpr std::chrono::seconds job_timeout{240};

// One argument of StartTransientUnit: the D-Bus signature inside the variant, and the value in JSON.
// Structures and arrays are JSON arrays, a string for `ay` is its bytes.
struct UnitProperty {
    std::string name;
    std::string signature;
    nlohmann::json value;
    friend bool operator==(const UnitProperty&, const UnitProperty&) = default;
};

// Where a process was asked for decides how much of the machine it may see.
enum class Origin { Local, Remote };

// The capability to listen at one port below 1024 is one for all of them, unless the process is kept to its
// port: `confines_ports`, see net/cgroups.h and bind_programs.h. Where it is not, another node's process may
// have none.
Result<void> check_remote_port(RemoteSpin policy, const ProcessRecord& record, bool confines_ports);

// A unit as systemd is asked for it.
struct TransientUnit {
    std::vector<UnitProperty> properties;
    std::string drop_in; // the commands, see command_drop_in.h
    // Its standard input; nullptr: /dev/null. A descriptor, as everybody may read properties on the bus.
    std::shared_ptr<const net::UniqueFd> input = nullptr;
    // Its start is over when its command has ended, which may take so long; nothing: when it runs.
    std::optional<std::chrono::seconds> run_limit = std::nullopt;
    // Where its standard output goes; nullptr: to the journal.
    std::shared_ptr<const net::UniqueFd> output = nullptr;
    friend bool operator==(const TransientUnit&, const TransientUnit&) = default;
};

// A first try may fail a few times in a row, as systemd sees to it; one that p2prcd makes later, because all
// of those failed, is a single one.
enum class Attempt { First, Again };

// `record`'s unit on `node`, its properties in a fixed order. Names and signatures are those of systemd 252;
// nothing newer is used. InvalidSpec for a name that is none, and for a command that cannot be written down.
Result<TransientUnit> transient_unit(const ProcessRecord& record, std::string_view node, Origin origin,
                                     Attempt attempt = Attempt::First);

// Has a unit run in another slice than that of the processes that were spun on this node.
void set_slice(TransientUnit& content, std::string_view slice);

// What keeps a running unit, or a slice, to other limits than those that it was started with. What has no
// limit any more is set to none; by default systemd limits the tasks of a unit, and does again from its next
// start on.
std::vector<UnitProperty> limit_properties(const LimitsSpec& limits);

// How long a command that probes a process may run.
inline constexpr std::chrono::seconds probe_command_timeout{10};

std::string probe_unit_name(std::string_view process_name);

// A unit that runs the command of `probe` once, as `record`'s process would run it: with its user,
// environment, data directory, limits and sandbox. /tmp is its own. Two units of one dynamic user share its
// id, and may share its state directory. It has no field of a process, so nobody takes it for one.
Result<TransientUnit> probe_unit(const ProcessRecord& record, Origin origin, const Probe& probe);

std::string volumes_unit_name(std::string_view process_name);

// A unit that makes, as `record`'s process, what is not there yet of its data: the directory itself, which
// systemd 252 does not link to in its public place for a unit with a root of its own, and the `volumes` in
// it. `mounted`: they are to be mounted, by the superuser. So their owners stay, and it fails for a link
// among them, which the process itself may have made.
Result<TransientUnit> volumes_unit(ProcessRecord record, Origin origin,
                                   const std::vector<std::string>& volumes, bool mounted = false);

// How long the copy of its data may take for which an update keeps the process stopped.
inline constexpr std::chrono::seconds copy_timeout{5};

std::string copy_unit_name(std::string_view process_name);

// A unit that copies the data of `record`'s process to NAME.copying beside it, as the process's user and in
// its sandbox: it can follow no link to where the process could not go itself. What was there before is
// removed. It is over when the copy is on the disk.
Result<TransientUnit> copy_unit(ProcessRecord record, Origin origin);

// What `record`'s process may bind; none: whatever it likes, as its user may.
std::optional<BindRule> bind_rule(const ProcessRecord& record);

// Has systemd (249 and later) attach the pinned programs of `rule` to the unit's control group. It does what
// SocketBindAllow= says also where systemd was built without the BPF framework. Programs that are not there
// are no error for systemd: it warns, and starts the unit without them.
//
// When systemd 252 restarts a unit by itself, the control group is another one, and the programs are still
// taken for attached (bpf_program_cgroup_attach() compares paths). So each start attaches them once more, if
// they are not, before the command is executed; where that fails, it is not executed.
void add_bind_programs(TransientUnit& content, const BindRule& rule);

// Whether the start of the unit is over only when it says so (Type=notify).
bool waits_for_ready(const TransientUnit& unit);

// InvalidSpec when a text among `properties` has a control character, which systemd 252 would write into the
// unit's file as it is: what follows a newline would be a line of its own there.
Result<void> check_properties(const std::vector<UnitProperty>& properties);

// The journal fields that mark a unit as ours; adoption reads them back.
inline constexpr std::string_view field_process = "FLEET_PROCESS";
inline constexpr std::string_view field_node = "FLEET_NODE";
inline constexpr std::string_view field_digest = "FLEET_DIGEST";

} // namespace p2prc::process
