// Where the control groups of units and slices are, by their names.
#pragma once

#include <filesystem>
#include <string_view>

namespace p2prc::process {

// Of the unit of a process: in the slice of all processes, or in that of an owner below it, where it may have
// been started for an owner of another name. Empty: it has none, as it does not run.
std::filesystem::path unit_group(std::string_view unit,
                                 const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");
// Of the slice of all processes, or of an owner's. Empty: nothing runs in it.
std::filesystem::path slice_group(std::string_view slice,
                                  const std::filesystem::path& cgroup_root = "/sys/fs/cgroup");

} // namespace p2prc::process
