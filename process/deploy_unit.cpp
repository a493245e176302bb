#include "process/deploy_unit.h"

#include "core/data_paths.h"
#include "process/command_drop_in.h"
#include "process/unit_names.h"
#include "process/unit_properties.h"

#include <fmt/format.h>

#include <chrono>
#include <initializer_list>
#include <utility>

namespace p2prc::process {
namespace {

using nlohmann::json;

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

std::string deploy_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-deploy-{}.service", process_name);
}

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
