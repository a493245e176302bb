// All zones as packed answers: made when routes change, never changed after, read for each query without
// allocation.
#pragma once

#include "edge/dns/packer.h"
#include "edge/dns/request.h"
#include "edge/dns/zone.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge::dns {

// One answer: what follows the question, and the header's part in it.
struct Packed {
    std::uint32_t bytes = 0; // where it begins, in the snapshot
    std::uint32_t size = 0;
    std::uint32_t pointers = 0;
    std::uint32_t ends = 0;
    std::uint16_t pointer_count = 0;
    std::uint16_t end_count = 0;
    std::uint16_t name_size = 0; // of the QNAME it was packed for
    std::uint16_t flags = 0;     // AA, and the RCODE in its four bits
    std::uint16_t counts[3] = {0, 0, 0};
};

class Snapshot {
  public:
    // Packs `zones`, their serials set. Parent and child zones may be among them; the child answers for its
    // names but for its DS, which is its parent's (RFC 4035 section 3.1.4.1).
    static std::shared_ptr<const Snapshot> build(std::span<const ZoneData> zones);

    // The answer to a question of class IN; null when the name is in none of the zones.
    const Packed* find(const Request& request) const noexcept;

    const std::uint8_t* bytes(const Packed& packed) const noexcept { return bytes_.data() + packed.bytes; }
    std::span<const std::uint16_t> pointers(const Packed& packed) const noexcept {
        return {pointers_.data() + packed.pointers, packed.pointer_count};
    }
    std::span<const RRsetEnd> ends(const Packed& packed) const noexcept {
        return {ends_.data() + packed.ends, packed.end_count};
    }
    std::size_t names() const noexcept { return nodes_.size(); }

  private:
    friend class SnapshotBuilder;

    static constexpr std::uint32_t none = UINT32_MAX;

    struct Node {
        std::uint32_t name = 0; // in names_
        std::uint32_t first_typed = 0;
        std::uint32_t fallback = none; // for a type that is not among the typed ones
        std::uint32_t wildcard = none; // node of the child `*`
        std::uint16_t typed_count = 0;
        std::uint16_t zone = 0;
        std::uint8_t name_size = 0;
        bool cut = false; // delegated: it answers for all below it
    };
    struct Typed {
        std::uint16_t type = 0;
        std::uint32_t packed = none;
    };
    struct Slot {
        std::uint32_t hash = 0;
        std::uint32_t node = none;
    };

    std::uint32_t find_node(std::string_view name, std::uint32_t hash) const noexcept;
    std::uint32_t answer_of(const Node& node, std::uint16_t type) const noexcept;

    std::string names_;
    std::vector<Node> nodes_;
    std::vector<Slot> slots_; // open addressing; a power of two, at most half full
    std::vector<Typed> typed_;
    std::vector<Packed> packed_;
    std::vector<std::uint8_t> bytes_;
    std::vector<std::uint16_t> pointers_;
    std::vector<RRsetEnd> ends_;
    std::vector<std::uint32_t> nxdomain_; // by zone
};

} // namespace p2prc::edge::dns
