// Units that remove what deployers and copies have left: it belongs to other users, and p2prcd has no
// capability to remove what others own.
#pragma once

#include "core/error.h"
#include "process/transient_unit.h"

#include <filesystem>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

std::string removal_unit_name(std::string_view process_name);

// Removes `paths`, each within one of the directories `writable`.
std::vector<UnitProperty> removal_unit(std::string_view process_name,
                                       std::span<const std::filesystem::path> paths,
                                       std::span<const std::filesystem::path> writable);

// The same of a copy of its data that is not whole.
std::vector<UnitProperty> copy_removal_unit(std::string_view process_name,
                                            std::span<const std::filesystem::path> paths,
                                            std::span<const std::filesystem::path> writable);

// The same, and its output is a line with the bytes that are free since: of files with several names only
// those that have lost all of them.
Result<TransientUnit> cleaning_unit(std::span<const std::filesystem::path> paths,
                                    std::span<const std::filesystem::path> writable);
// The same as the user of builders, whose directories only that one can be let into: of the caches in
// `directory`, what is named in none of them as in `kept`.
Result<TransientUnit> cache_cleaning_unit(const std::filesystem::path& directory,
                                          const std::set<std::string>& kept);

} // namespace p2prc::process
