// Who made a record, and where a mapping led: a machine, which is its key. When it has left the fleet,
// another machine may go by its name, and has none of its rights.
#pragma once

#include "registry/draft.h"

#include <string_view>

namespace p2prc::registry::rules {

// Node of "user@node".
std::string_view node_of(std::string_view by) noexcept;

// Whether the node that goes by this name now made what says `created_by`. `more` are the record's members
// that its type does not have, or all of its document.
bool is_maker(const Draft& draft, std::string_view node, std::string_view created_by,
              const nlohmann::json& more);

// The key of the machine that made it, once that has left; empty while it is here.
std::string sealed_maker(const nlohmann::json& more);

// Where a mapping that waits led before: that node, or "".
std::string last_node(const DomainRecord& mapping);
// Whether it is the node that goes by this name now.
bool led_to(const Draft& draft, const DomainRecord& mapping, std::string_view node);
void set_last_node(DomainRecord& mapping, const std::string& node);
void clear_last_node(DomainRecord& mapping);

// Notes in all that is left of a node, which goes, whose it is.
void seal_makers(Draft& draft, const NodeRecord& gone);
// Notes of a process whose maker is no node of the fleet that no later one of that name has made it.
void seal_for_nobody(ProcessRecord& process);

// Notes that the process counts as the share of the node that it is on: that node has brought it, and whose
// user asked for it is that node's word.
void count_for_its_node(ProcessRecord& process);
// Of all of a process's document.
bool counts_for_its_node(const nlohmann::json& document);

} // namespace p2prc::registry::rules
