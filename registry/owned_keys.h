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

// The keys that there are of what the node says of itself.
std::vector<std::string> owned_by(const Draft& draft, std::string_view node);

// Takes away all that is the node's: what it says of itself, what is said of it, and of what is agreed all
// that is dropped with it. The record of the node itself among it.
void erase_all_of(Draft& draft, const std::string& node);

// What is agreed is of the node by its new name; what it says of itself goes, and is uploaded anew.
void rename_all_of(Draft& draft, const std::string& before, const std::string& now);

} // namespace p2prc::registry::rules
