#include "edge/dns/snapshot.h"

#include "edge/dns/name_hash.h"

#include <cstring>

namespace p2prc::edge::dns {

const Packed* Snapshot::find(const Request& request) const noexcept {
    // Hashes of the QNAME and each of its ancestors, the root's last.
    std::array<std::uint32_t, max_labels> hashes;
    std::uint32_t hash = root_hash;
    for (std::size_t i = request.label_count; i > 0; --i) {
        const std::size_t from = request.labels[i - 1];
        hash = label_hash(hash, {request.lowered.data() + from, request.labels[i] - from});
        hashes[i - 1] = hash;
    }
    // The closest encloser (RFC 4592 section 3.3.1): the longest name on the way to the root that exists.
    for (std::size_t i = 0; i < request.label_count; ++i) {
        const std::uint32_t found = find_node(request.name_from(i), hashes[i]);
        if (found == none) continue;
        const Node& node = nodes_[found];
        if (i == 0) return &packed_[answer_of(node, request.qtype)];
        if (node.cut) return &packed_[node.fallback];
        if (node.wildcard != none) return &packed_[answer_of(nodes_[node.wildcard], request.qtype)];
        return &packed_[nxdomain_[node.zone]];
    }
    return nullptr;
}

std::uint32_t Snapshot::find_node(std::string_view name, std::uint32_t hash) const noexcept {
    if (slots_.empty()) return none;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
        const Slot& slot = slots_[at];
        if (slot.node == none) return none;
        if (slot.hash != hash) continue;
        const Node& node = nodes_[slot.node];
        if (node.name_size == name.size() &&
            std::memcmp(names_.data() + node.name, name.data(), name.size()) == 0)
            return slot.node;
    }
}

std::uint32_t Snapshot::answer_of(const Node& node, std::uint16_t type) const noexcept {
    for (std::uint32_t i = node.first_typed; i < node.first_typed + node.typed_count; ++i)
        if (typed_[i].type == type) return typed_[i].packed;
    return node.fallback;
}

} // namespace p2prc::edge::dns
