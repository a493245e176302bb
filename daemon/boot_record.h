// Whether the last boot ended with an orderly shutdown: only a shutdown writes this file.
#pragma once

#include "core/error.h"

#include <filesystem>
#include <string>

namespace p2prc::daemon {

// The boot that the note names; empty when there is none.
std::string read_ended_boot(const std::filesystem::path& file);

// Written, and on disk, when p2prcd stops because the machine does.
Result<void> write_ended_boot(const std::filesystem::path& file, const std::string& boot);

} // namespace p2prc::daemon
