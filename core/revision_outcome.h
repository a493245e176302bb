// What came of a revision, by its record and by what its node says.
#pragma once

#include "core/process_status.h"
#include "core/revision.h"

#include <cstdint>

namespace p2prc {

// The node's report included, which the registry may not have taken in yet. nullptr: it has reported nothing.
Outcome outcome_now(std::uint32_t revision, Outcome recorded, const ProcessStatus* status) noexcept;

} // namespace p2prc
