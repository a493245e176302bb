// What became of a process: its revisions, and what a specification would change.
#pragma once

#include "core/process_spec.h"
#include "daemon/api/view.h"

namespace p2prc::daemon {

// What is known of a revision's outcome, its node's report included, which the registry may not have yet.
Outcome outcome_of(const Revision& revision, const ProcessStatus* status);

// Rows with the keys of history_fields(), the newest first.
Json history_document(const View& view, const ProcessRecord& process);

// With the keys of explanation_fields(): what a spin of `spec` would be.
Json explanation_document(const View& view, const ProcessSpec& spec);

} // namespace p2prc::daemon
