#include "process/removal_unit.h"

#include "core/paths.h"
#include "process/command_drop_in.h"
#include "process/unit_names.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

namespace p2prc::process {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t cap_dac_override = std::uint64_t{1} << 1;
constexpr std::uint64_t cap_fowner = std::uint64_t{1} << 3;
// A disk that turns, and images with a hundred thousand files.
constexpr std::chrono::minutes cleaning_limit{10};

// %b: blocks of 512 bytes.
constexpr const char* measure_and_remove = R"sh([ $# -gt 0 ] || exit 0
find "$@" -xdev -printf '%y %D:%i %n %b\n' 2>/dev/null | awk '
$1 == "d" || $3 == 1 { sum += $4; next }
{ seen[$2]++; links[$2] = $3; size[$2] = $4 }
END { for (file in seen) if (seen[file] >= links[file]) sum += size[file]; printf "%.0f\n", sum * 512 }'
exec rm -rf --one-file-system -- "$@")sh";

// Before that: the arguments are the entries of each cache but those to keep.
constexpr const char* entries_of_caches = R"sh(cd "$1" 2>/dev/null || exit 0
kept=" $2 "
set --
for path in ./*/* ./*/.[!.]* ./*/..?*; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    case $kept in *" ${path##*/} "*) continue ;; esac
    set -- "$@" "$path"
done
)sh";

std::vector<UnitProperty> removal_sandbox(std::string description, std::span<const fs::path> writable) {
    json roots = json::array();
    for (const auto& path : writable)
        roots.push_back("-" + path.string());
    return {
        {"Description", "s", std::move(description)},
        {"CollectMode", "s", "inactive-or-failed"},
        {"SyslogIdentifier", "s", "p2prcd"},
        {"NoNewPrivileges", "b", true},
        {"ProtectSystem", "s", "strict"},
        {"ReadWritePaths", "as", std::move(roots)},
        {"ProtectHome", "s", "yes"},
        {"PrivateTmp", "b", true},
        {"PrivateDevices", "b", true},
        {"PrivateNetwork", "b", true},
        {"ProtectKernelTunables", "b", true},
        {"ProtectKernelModules", "b", true},
        {"ProtectControlGroups", "b", true},
        {"RestrictSUIDSGID", "b", true},
        {"LockPersonality", "b", true},
        {"SystemCallArchitectures", "as", json::array({"native"})},
        {"RestrictAddressFamilies", "(bas)", json::array({true, json::array({"AF_UNIX"})})},
    };
}

Result<TransientUnit> measuring_unit(std::vector<UnitProperty> properties, std::vector<std::string> command) {
    auto drop_in = command_drop_in({.command = std::move(command)});
    if (!drop_in) return std::unexpected(drop_in.error());
    properties.push_back({"Type", "s", "exec"});
    properties.push_back({"RemainAfterExit", "b", true}); // until it was seen how it ended
    properties.push_back({"RuntimeMaxUSec", "t", std::chrono::microseconds(cleaning_limit).count()});
    return TransientUnit{.properties = std::move(properties),
                         .drop_in = std::move(*drop_in),
                         .run_limit = cleaning_limit + std::chrono::minutes(1)};
}

} // namespace

std::string removal_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-undeploy-{}.service", process_name);
}

namespace {

std::vector<UnitProperty> removal(std::string description, std::span<const fs::path> paths,
                                  std::span<const fs::path> writable) {
    json words = json::array({paths::rm, "-rf", "--one-file-system", "--"});
    for (const auto& path : paths)
        words.push_back(path.string());
    const auto command = json::array({paths::rm, std::move(words), json::array({"no-env-expand"})});
    auto unit = removal_sandbox(std::move(description), writable);
    unit.push_back({"Type", "s", "oneshot"});
    unit.push_back({"CapabilityBoundingSet", "t", cap_dac_override | cap_fowner});
    unit.push_back({"ExecStartEx", "a(sasas)", json::array({command})});
    return unit;
}

} // namespace

std::vector<UnitProperty> removal_unit(std::string_view process_name, std::span<const fs::path> paths,
                                       std::span<const fs::path> writable) {
    return removal(fmt::format("Removal of what was deployed for p2prc process {}", process_name), paths,
                   writable);
}

std::vector<UnitProperty> copy_removal_unit(std::string_view process_name, std::span<const fs::path> paths,
                                            std::span<const fs::path> writable) {
    return removal(fmt::format("Removal of a copy of the data of p2prc process {}", process_name), paths,
                   writable);
}

Result<TransientUnit> cleaning_unit(std::span<const fs::path> paths, std::span<const fs::path> writable) {
    std::vector<std::string> command{"/bin/sh", "-c", measure_and_remove, "clean"};
    std::ranges::transform(paths, std::back_inserter(command),
                           [](const fs::path& path) { return path.string(); });
    auto properties = removal_sandbox("Removal of what p2prc processes do not need any more", writable);
    properties.push_back({"CapabilityBoundingSet", "t", cap_dac_override | cap_fowner});
    return measuring_unit(std::move(properties), std::move(command));
}

Result<TransientUnit> cache_cleaning_unit(const fs::path& directory, const std::set<std::string>& kept) {
    auto properties =
        removal_sandbox("Removal of what builders of p2prc have kept", std::span(&directory, 1));
    properties.push_back({"User", "s", builder_user});
    properties.push_back({"CapabilityBoundingSet", "t", std::uint64_t{0}});
    return measuring_unit(std::move(properties),
                          {"/bin/sh", "-c", std::string(entries_of_caches) + measure_and_remove, "clean",
                           directory.string(), fmt::format("{}", fmt::join(kept, " "))});
}

} // namespace p2prc::process
