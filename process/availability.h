// Whether a process that does not answer is on its way, so that clients are worth holding: a function of what
// is wanted of it and of its last status.
#pragma once

#include "core/availability.h"
#include "core/local_action.h"
#include "core/process_status.h"
#include "core/records.h"

#include <string_view>

namespace p2prc::process {

// `local` and `status` are those of the record, or null. `boot_id` is the present boot, as statuses name it.
// A process that has failed and waits for its next attempt is not on its way: that may take a minute.
Availability availability(const ProcessRecord& record, const LocalAction* local, const ProcessStatus* status,
                          std::string_view boot_id);

} // namespace p2prc::process
