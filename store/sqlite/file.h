// The database file itself: creating it, and detecting whether somebody else has replaced it.
//
// A store that is restored from a copy has revisions which other machines remember with another content.
// Nobody can be relied upon to say so, hence the seal: when a store is closed in order, FILE.closed notes
// inode, change time (ctime cannot be set) and size of the file. A seal that fits vouches for the past.
#pragma once

#include "core/error.h"
#include "store/store.h"

#include <cstdint>
#include <string>

namespace p2prc::store {

// Makes it with mode 0600 when it is missing, and takes other users' rights away when it has any. The
// directory is synced, so that a new file survives a power cut. True: it was made.
Result<bool> make_file(const std::string& file);

// The inode; 0 when the file cannot be looked at.
std::uint64_t inode_of(const std::string& file);

enum class Seal { None, Fits, Broken };
Seal check_seal(const std::string& file);
Result<void> remove_seal(const std::string& file);
// Best effort: without a seal the store is Recovered the next time, which costs its watchers a whole resync.
void write_seal(const std::string& file);

} // namespace p2prc::store
