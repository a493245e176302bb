// Handles damaged databases of p2prcd, and says what to tell people about them.
#pragma once

#include "core/error.h"
#include "state/state.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Sets a damaged registry aside and makes it anew of what this node's replica holds, as if it were restored
// from an older copy: the store takes another identity, and nodes offer what it does not know. The
// invitations are lost. Waits for the disk.
Result<void> rebuild_registry(const std::string& file, const std::map<std::string, std::string>& documents);

// For each file that was set aside in the directory and is still there: what was lost, and what to do.
std::vector<Error> damage_notices(const std::filesystem::path& directory);

} // namespace p2prc::daemon
