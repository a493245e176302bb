// The process that an id, a name or a domain stands for, and what to say where there is none, or no such
// node: one rule for this node's view and for the registry.
#pragma once

#include "core/keys.h"
#include "core/names.h"
#include "core/records.h"

#include <string>
#include <string_view>
#include <vector>

namespace p2prc::state {

// Digits alone are an id, a dot makes it a domain, all else is a name.
enum class Reference { Id, Domain, Name };
Reference reference_of(std::string_view text) noexcept;

Error no_such_node(std::string_view name, const std::vector<std::string>& names);
Error no_such_process(std::string_view text, const std::vector<std::string>& names);
Error no_such_domain(std::string_view domain);
Error waiting_domain(const DomainRecord& mapping);

// `Records` finds a process by id and by name, and a domain (something to be dereferenced, or false), and
// names all processes. NotFound says what there is instead.
template <class Records>
Result<ProcessRecord> find_process(const Records& records, std::string_view text) {
    const auto reference = reference_of(text);
    if (reference == Reference::Domain) {
        const auto domain = normalize_domain(text);
        if (!domain) return std::unexpected(domain.error());
        const auto mapping = records.domain(*domain);
        if (!mapping) return std::unexpected(no_such_domain(*domain));
        if (const auto record = records.process(std::string_view(mapping->process))) return *record;
        return std::unexpected(waiting_domain(*mapping));
    }
    const auto id = reference == Reference::Id ? keys::id_from_text(text) : std::nullopt;
    if (id) {
        if (const auto record = records.process(*id)) return *record;
    } else if (reference == Reference::Name) {
        if (const auto record = records.process(text)) return *record;
    }
    return std::unexpected(no_such_process(text, records.process_names()));
}

} // namespace p2prc::state
