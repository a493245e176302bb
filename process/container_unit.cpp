#include "process/container_unit.h"

#include "core/data_paths.h"
#include "core/paths.h"
#include "process/command_drop_in.h"
#include "process/unit_properties.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

namespace p2prc::process {

using nlohmann::json;

namespace {

// Mounts, a copy of the image where the storage driver cannot share its layers (vfs), and nothing else.
constexpr std::chrono::minutes start_limit{3};
// After which podman sends SIGKILL; less than the time of systemd for the stop command.
constexpr const char* stop_patience = "10";
constexpr std::chrono::minutes images_limit{10};
constexpr const char* credentials_place = "/run/p2prc-credentials";

// What ended by itself is removed after it, and needs no stop command.
constexpr const char* stop_while_it_runs = R"([ -z "$MAINPID" ] || exec "$@")";

// Before each start, also those that systemd makes by itself: the data are the container's between two of
// them, and podman would follow a link there to any place of this machine. Nothing of the container runs at
// this time.
constexpr const char* check_volumes = R"sh(cd "$1" || exit 1
shift
for volume; do
    here=. rest=$volume/
    while [ -n "$rest" ]; do
        here=$here/${rest%%/*} rest=${rest#*/}
        if [ -L "$here" ] || [ ! -d "$here" ]; then
            echo "the volume $volume is not mounted: $here in the data is not a directory" >&2
            exit 1
        fi
    done
done)sh";

// podman-image-prune(1) removes images that have neither a name nor an image made of them. Deployed ones have
// a name; those that are not kept lose theirs. `ps --external` also shows what a build that was ended has
// left; none runs now.
constexpr const char* clean_images = R"sh(podman=$1 store=$2 kept=" $3 "
size() { du -skx "$store" 2>/dev/null | cut -f 1; }
before=$(size)
"$podman" ps --all --external --no-trunc --format '{{.ID}} {{.Names}}' | while read -r id name; do
    case $name in
        p2prc-*) case $(systemctl show -P ActiveState "$name.service") in inactive | failed) ;; *) continue ;; esac ;;
    esac
    "$podman" rm -f -i -t 0 "$id" >&2
done
"$podman" image ls --quiet --no-trunc | sort -u | while read -r id; do
    case $kept in *" ${id#sha256:} "*) ;; *) "$podman" untag "$id" >&2 ;; esac
done
"$podman" image prune --force >&2 || exit 1
after=$(size)
echo "$(((before - after) > 0 ? (before - after) * 1024 : 0))")sh";

std::string podman() {
    return fmt::format("{}/p2prc-podman", paths::libexec);
}

void set(TransientUnit& unit, std::string name, std::string signature, json value) {
    std::erase_if(unit.properties, [&name](const UnitProperty& one) { return one.name == name; });
    unit.properties.push_back({std::move(name), std::move(signature), std::move(value)});
}

// What podman stands of a sandbox, tried with 4.3 on systemd 252. Its containers have another one of their
// own: namespaces, capabilities and podman's filter of system calls.
void add_podman_sandbox(TransientUnit& unit) {
    // A container has a name of its own, and files of an image may have these bits.
    for (const auto* name : {"ProtectHostname", "RestrictSUIDSGID"})
        std::erase_if(unit.properties, [name](const UnitProperty& one) { return one.name == name; });
    set(unit, "ProtectSystem", "s", "full");
    set(unit, "ProtectHome", "s", "yes");
    set(unit, "DevicePolicy", "s", "closed");
}

std::vector<std::string> removal(std::string_view patience, std::vector<std::string> names) {
    std::vector<std::string> command{podman(), "rm", "--force", "--ignore", "--time", std::string(patience)};
    std::ranges::move(names, std::back_inserter(command));
    return command;
}

// All that a process knows of its surroundings; what its file says counts most.
std::map<std::string, std::string> environment_of(const ProcessRecord& record, const DeployResult& result) {
    auto environment = record.spec.run.environment;
    if (record.port) environment.emplace("PORT", std::to_string(*record.port));
    if (record.spec.run.data) environment.emplace("STATE_DIRECTORY", data_directory(record.name));
    if (!record.spec.run.credentials.empty()) environment.emplace("CREDENTIALS_DIRECTORY", credentials_place);
    environment.insert(result.environment.begin(), result.environment.end());
    return environment;
}

std::vector<std::string> run_command(const ProcessRecord& record, const Deployed& deployed, Turn turn) {
    const auto& run = record.spec.run;
    std::vector<std::string> command{
        podman(), "run", "--name=" + container_name(record.name, turn),
        "--replace", // of what a power cut has left
        "--rm", "--detach",
        // podman tells systemd which process the container's monitor is, and that
        // it runs. The monitor ends with the container's exit status.
        "--sdnotify=conmon",
        // In the group of this unit.
        "--cgroups=disabled", "--log-driver=passthrough", "--network=host", "--pull=never",
        // Those that are not kept; not a volume of podman's, which would stay.
        "--image-volume=tmpfs", "--http-proxy=false", "--security-opt=no-new-privileges",
        // SELinux would keep it from its data, whose label is another one.
        "--security-opt=label=disable"};
    const auto mount = [&command](std::string_view from, std::string_view to, std::string_view option = "") {
        command.push_back(fmt::format("--volume={}:{}{}", from, to, option));
    };
    const auto data = data_directory(record.name);
    if (run.data) mount(data, data);
    for (const auto& volume : deployed.result.volumes)
        mount(fmt::format("{}/{}", data, volume), "/" + volume);
    if (!run.credentials.empty())
        mount("/run/credentials/" + unit_name(record.name, turn), credentials_place, ":ro");
    for (const auto& [name, value] : environment_of(record, deployed.result))
        command.push_back(fmt::format("--env={}={}", name, value));
    // The whole command, as with every other deployer.
    auto words = run.command.empty() ? deployed.result.command : run.command;
    if (run.shell) words.insert(words.begin(), {"/bin/sh", "-c"});
    command.push_back("--entrypoint=" + json(words).dump(-1, ' ', false, json::error_handler_t::replace));
    command.push_back(deployed.result.container);
    return command;
}

Result<TransientUnit> podman_helper(std::string description, std::vector<std::string> command) {
    auto drop_in = command_drop_in({.command = std::move(command)});
    if (!drop_in) return std::unexpected(drop_in.error());
    TransientUnit unit{.properties = {{"Description", "s", std::move(description)},
                                      {"CollectMode", "s", "inactive-or-failed"},
                                      {"SyslogIdentifier", "s", "p2prcd"},
                                      {"NoNewPrivileges", "b", true},
                                      {"PrivateTmp", "b", true},
                                      {"PrivateNetwork", "b", true},
                                      {"ProtectKernelModules", "b", true},
                                      {"ProtectClock", "b", true},
                                      {"ProtectControlGroups", "b", true},
                                      {"LockPersonality", "b", true},
                                      {"RestrictRealtime", "b", true}},
                       .drop_in = std::move(*drop_in)};
    add_podman_sandbox(unit);
    return unit;
}

} // namespace

std::string container_name(std::string_view process_name, Turn turn) {
    return std::string(unit_prefix).append(turn_name(process_name, turn));
}

ProcessRecord as_superuser(ProcessRecord record) {
    record.spec.run.user = "root";
    // It is the container's, as its credentials are.
    record.spec.run.environment.clear();
    return record;
}

Result<TransientUnit> container_unit(const ProcessRecord& record, const Deployed& deployed, Turn turn,
                                     std::string_view node, Origin origin, Attempt attempt) {
    auto runs = as_superuser(record);
    runs.spec.run.command = run_command(record, deployed, turn);
    runs.spec.run.shell = false;
    auto unit = transient_unit(runs, node, origin, attempt);
    if (!unit) return unit;
    set(*unit, "Type", "s", "notify");
    set(*unit, "NotifyAccess", "s", "all"); // podman's; the container has no socket for it
    set(*unit, "TimeoutStartUSec", "t", std::chrono::microseconds(start_limit).count());
    // An end by these signals is one in order for systemd, and the monitor reports it as an exit status.
    json statuses = json::array();
    for (const int signal : {SIGHUP, SIGINT, SIGPIPE, SIGTERM})
        statuses.push_back(128 + signal);
    set(*unit, "SuccessExitStatus", "(aiai)", json::array({std::move(statuses), json::array()}));
    add_podman_sandbox(*unit);
    std::ranges::move(port_properties(record), std::back_inserter(unit->properties));
    if (record.spec.run.data && !deployed.result.volumes.empty()) {
        std::vector<std::string> check{"/bin/sh", "-c", check_volumes, "volumes",
                                       data_directory(record.name)};
        std::ranges::copy(deployed.result.volumes, std::back_inserter(check));
        const auto line = command_line_drop_in("ExecStartPre", check);
        if (!line) return std::unexpected(line.error());
        unit->drop_in += *line;
    }
    const auto remove = removal(stop_patience, {container_name(record.name, turn)});
    std::vector<std::string> stop{"/bin/sh", "-c", stop_while_it_runs, "stop"};
    stop.insert(stop.end(), remove.begin(), remove.end());
    const auto stopped = command_line_drop_in("ExecStop", stop);
    const auto removed = command_line_drop_in("ExecStopPost", remove);
    if (!stopped || !removed) return std::unexpected(stopped ? removed.error() : stopped.error());
    unit->drop_in += *stopped + *removed;
    return unit;
}

Result<TransientUnit> container_probe_unit(const ProcessRecord& record, Turn turn, Origin origin,
                                           const Probe& probe) {
    Probe inside = probe;
    inside.command = {podman(), "exec", container_name(record.name, turn)};
    if (probe.shell) inside.command.insert(inside.command.end(), {"/bin/sh", "-c"});
    inside.command.insert(inside.command.end(), probe.command.begin(), probe.command.end());
    inside.shell = false;
    auto runs = as_superuser(record);
    runs.spec.run.credentials.clear();
    // systemd would give a directory of another owner to the superuser, with all that is in it.
    runs.spec.run.data = false;
    auto unit = probe_unit(runs, origin, inside);
    if (!unit) return unit;
    add_podman_sandbox(*unit);
    // Its command is in this unit's group, and could hand a socket to what runs in the other one.
    std::ranges::move(port_properties(record), std::back_inserter(unit->properties));
    return unit;
}

std::string container_removal_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-uncontain-{}.service", process_name);
}

Result<TransientUnit> container_removal_unit(std::string_view process_name) {
    auto unit = podman_helper(fmt::format("Removal of containers of p2prc process {}", process_name),
                              removal("0", {container_name(process_name, Turn::First),
                                            container_name(process_name, Turn::Second)}));
    if (unit) set(*unit, "Type", "s", "oneshot");
    return unit;
}

Result<TransientUnit> container_cleaning_unit(const std::filesystem::path& store,
                                              const std::set<std::string>& kept) {
    auto unit = podman_helper("Removal of container images that no p2prc process needs",
                              {"/bin/sh", "-c", clean_images, "clean", podman(), store.string(),
                               fmt::format("{}", fmt::join(kept, " "))});
    if (!unit) return unit;
    set(*unit, "Type", "s", "exec");
    set(*unit, "RemainAfterExit", "b", true); // until it was seen how it ended
    set(*unit, "RuntimeMaxUSec", "t", std::chrono::microseconds(images_limit).count());
    unit->run_limit = images_limit + std::chrono::minutes(1);
    return unit;
}

} // namespace p2prc::process
