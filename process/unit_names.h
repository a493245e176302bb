// The names that a process has with systemd: its unit, its user.
#pragma once

#include "core/error.h"

#include <string>
#include <string_view>

namespace p2prc {
struct ProcessStatus;
} // namespace p2prc

namespace p2prc::process {

// Of the processes that were spun on this node. Those of another node are in a slice of its own, below this
// one: systemd nests slices by the dashes in their names.
inline constexpr std::string_view process_slice = "p2prc.slice";
inline constexpr std::string_view unit_prefix = "p2prc-";
// Where systemd has the data of dynamic users; in data_root are links to it.
inline constexpr std::string_view private_data_root = "/var/lib/private/p2prc-data";

// The results of deployers, below /var/lib, and what they keep, below /var/cache; the process is shown its
// own at shown_result.
inline constexpr std::string_view deploy_directory = "p2prc-deploy";
inline constexpr std::string_view shown_result = "/run/p2prc-deploy";
// The user of all builders, made by sysusers.d, and what is theirs, in deploy_directory: no process has that
// name. Their cache is in it, so that a file in there can be a part of results by a hard link: each directory
// of a unit is a mount of its own, and link(2) makes none from one mount to another.
inline constexpr std::string_view builder_user = "p2prc-deploy";
inline constexpr std::string_view builder_directory = ".builder";
inline constexpr std::string_view builder_cache = "cache";
// What podman keeps for p2prc, in deploy_directory: containers.conf and p2prc-podman name it, too.
inline constexpr std::string_view container_store = ".containers";

// An update may start the next revision of a process beside the one that serves: so a process has two units,
// which take turns. No process's name has a "_".
enum class Turn { First, Second };
constexpr Turn other_turn(Turn turn) noexcept {
    return turn == Turn::First ? Turn::Second : Turn::First;
}

// "calendar", "calendar_2": what units of this turn are called by.
// Of the unit that serves.
Turn turn_of(const ProcessStatus& status) noexcept;
std::string turn_name(std::string_view process_name, Turn turn);
// "p2prc-calendar.service", "p2prc-calendar_2.service"
std::string unit_name(std::string_view process_name, Turn turn = Turn::First);
// "calendar" of both; empty when `unit` is not of that form.
std::string_view process_of_unit(std::string_view unit) noexcept;
// Of one of them.
Turn turn_of_unit(std::string_view unit) noexcept;

// "p2prc-attic.slice", of the processes that the node `owner` has spun here. A dash in its name is escaped,
// as systemd does. A name that no node can have, which a faulty registry may give, is replaced by its digest.
std::string owner_slice(std::string_view owner);
// The slice that all owners' are in, or one of those.
bool is_process_slice(std::string_view slice) noexcept;

// A unit's name becomes a part of paths: InvalidSpec for one that is more than one plain file name, by
// systemd.unit(5) of letters, digits and ":-_.\\", or is none of a service.
Result<void> check_unit_name(std::string_view unit);

// The user of a process without `user`. Never left to systemd: it would take the unit's name, and a unit that
// is called like a service of p2prc would run as that service's user. It is made of the process's name and of
// nothing else in its record: systemd has one unit of a name, so no two processes share a user, whatever a
// root says of their ids. Processes of one user may read each other's files and memory through /proc.
std::string dynamic_user(std::string_view process_name);

} // namespace p2prc::process
