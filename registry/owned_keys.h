// The keys of the replicated table that a node writes itself, and their format.
#pragma once

#include "core/keys.h"
#include "registry/draft.h"

#include <string>
#include <string_view>
#include <vector>

namespace p2prc::registry::rules {

// The key when `node` may upload it: to be stored as it is, or, of Kind::Folded, to be acted upon.
// NotPermitted when it is not the node's, InvalidSpec when its form is not that of its family.
Result<keys::Key> check_owned(std::string_view key, std::string_view node);

// The keys of the node's own state that the registry has.
std::vector<std::string> owned_by(const Draft& draft, std::string_view node);

// Erases all that is the node's: its own state, its liveness, and the agreed records that are dropped with
// it, its own record among them.
void erase_all_of(Draft& draft, const std::string& node);

// Agreed records get the node's new name. Its own state is erased, and uploaded again.
void rename_all_of(Draft& draft, const std::string& before, const std::string& now);

} // namespace p2prc::registry::rules
