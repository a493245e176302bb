// What became of a process: its revisions, and its last stops.
#pragma once

#include "daemon/api/view.h"

namespace p2prc::daemon {

// Rows with the keys of history_fields(), the newest first.
Json history_document(const View& view, const ProcessRecord& process);

} // namespace p2prc::daemon
