// Which objects on the bus a change of the state concerns: found by the parts of its key, and the records.
#pragma once

#include "daemon/api/view.h"

#include <optional>
#include <set>
#include <string>

namespace p2prc::daemon {

// Ids of objects of one kind (keys::process_objects, node_objects or domain_objects), also of those that the
// change takes away. Nothing: it may be any of them.
std::optional<std::set<std::string>> concerned(const View& view, unsigned objects,
                                               const state::Change& change);

} // namespace p2prc::daemon
