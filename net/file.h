// Whole files: read with a bound, written so that a crash leaves the old or the new one, never half of it.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace p2prc::net {

// The content of `path`; NotFound when there is none, InvalidSpec when it is larger than `limit` bytes, a
// directory, or a device other than /dev/null. A pipe is read to its end.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = 16 << 20);

// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the directory. `mode` are
// the permission bits, whatever the umask.
Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode = 0600);

// What was renamed in it stays so after a power cut.
Result<void> sync_directory(const std::filesystem::path& directory);

// Removes `path` and syncs the directory. One that is not there is no error.
Result<void> remove_file(const std::filesystem::path& path);

} // namespace p2prc::net
