#include "registry/maker.h"

#include "core/json_members.h"
#include "core/names.h"

namespace p2prc::registry::rules {
namespace {

// The key of the node in `created_by`, and in `last_node`, once it has left; missing while it is here.
constexpr const char* maker_key = "maker_key";
constexpr const char* last_key = "last_key";
constexpr const char* last_node_member = "last_node";
constexpr const char* brought_member = "brought";

bool is_key_of(const Draft& draft, std::string_view node, const Json& more, const char* member) {
    if (!more.is_object() || !more.contains(member)) return true;
    const auto record = draft.node(node);
    return record && !record->key.empty() && json::member<std::string>(more, member) == record->key;
}

} // namespace

bool is_maker(const Draft& draft, std::string_view node, std::string_view created_by, const Json& more) {
    return !node.empty() && node_of(created_by) == node && is_key_of(draft, node, more, maker_key);
}

std::string sealed_maker(const Json& more) {
    if (!more.is_object() || !more.contains(maker_key)) return {};
    const auto key = json::member<std::string>(more, maker_key);
    return key.empty() ? "none" : key; // of a machine without a key: nobody's any more
}

std::string last_node(const DomainRecord& mapping) {
    return json::member<std::string>(mapping.unknown, last_node_member);
}

bool led_to(const Draft& draft, const DomainRecord& mapping, std::string_view node) {
    return !node.empty() && last_node(mapping) == node && is_key_of(draft, node, mapping.unknown, last_key);
}

void set_last_node(DomainRecord& mapping, const std::string& node) {
    clear_last_node(mapping);
    mapping.unknown[last_node_member] = node;
}

void clear_last_node(DomainRecord& mapping) {
    json::erase_member(mapping.unknown, last_node_member);
    json::erase_member(mapping.unknown, last_key);
}

void seal_makers(Draft& draft, const NodeRecord& gone) {
    for (auto& process : draft.processes()) {
        if (!is_maker(draft, gone.name, process.created_by, process.unknown)) continue;
        process.unknown[maker_key] = gone.key;
        draft.put(process);
    }
    for (auto& mapping : draft.domains()) {
        const bool made = is_maker(draft, gone.name, mapping.created_by, mapping.unknown);
        const bool led = led_to(draft, mapping, gone.name);
        if (!made && !led) continue;
        if (made) mapping.unknown[maker_key] = gone.key;
        if (led) mapping.unknown[last_key] = gone.key;
        draft.put(mapping);
    }
}

void seal_for_nobody(ProcessRecord& process) {
    process.unknown[maker_key] = "";
}

void count_for_its_node(ProcessRecord& process) {
    process.unknown[brought_member] = true;
}

bool counts_for_its_node(const Json& document) {
    return json::member<bool>(document, brought_member);
}

} // namespace p2prc::registry::rules
