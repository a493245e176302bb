// What polkit is told of a call, so that a rule can be about one process and the prompt says what is asked
// for.
#pragma once

#include "daemon/api/method.h"
#include "daemon/api/polkit.h"
#include "daemon/api/view.h"

namespace p2prc::daemon {

// `verb`, and of what it is about `process`, `node` and `domain`; with these also `polkit.message`, which an
// agent shows in the place of the action's own. A process that exists goes by its name, however it was given.
PolkitDetails details_of(const MethodInfo& info, const Json& arguments, const View& view);

} // namespace p2prc::daemon
