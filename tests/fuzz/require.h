// Ends a fuzz target where what must hold does not, and says in which line.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <source_location>

namespace p2prc::fuzz {

inline void require(bool holds, const std::source_location& where = std::source_location::current()) {
    if (holds) return;
    std::fprintf(stderr, "%s:%u\n", where.file_name(), static_cast<unsigned>(where.line()));
    std::abort();
}

} // namespace p2prc::fuzz
