// Which machine made a record, and which one a mapping led to. A machine is its key. After it has left the
// fleet, another one may take its name, but has none of its rights: records of the first are sealed, that is,
// its key is noted in them.
#pragma once

#include "registry/draft.h"

#include <string_view>

namespace p2prc::registry::rules {

// Whether the node that has this name now made the record with this `created_by`. `more` are the record's
// members that its type does not have, or all of its document.
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

// Notes a leaving node's key in all records that it made and that stay.
void seal_makers(Draft& draft, const NodeRecord& gone);
// For a process whose maker is not in the fleet: notes that no later node of that name has made it.
void seal_for_nobody(ProcessRecord& process);

// Notes that the process counts as a share of the node that it is on. That node has brought it, and only that
// node says whose user asked for it.
void count_for_its_node(ProcessRecord& process);
// `document` is the whole of a process's.
bool counts_for_its_node(const nlohmann::json& document);

} // namespace p2prc::registry::rules
