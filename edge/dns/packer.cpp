#include "edge/dns/packer.h"

#include "edge/dns/constants.h"
#include "edge/dns/rdata.h"
#include "edge/dns/wire.h"

#include <algorithm>

namespace p2prc::edge::dns {
namespace {

constexpr std::uint32_t pointer_bits = 0xc000;
// A pointer has 14 bits (RFC 1035 section 4.1.4), and may have to move by as much as a QNAME is long.
constexpr std::size_t last_target = 0x3fff - max_name;

} // namespace

Packer::Packer(std::string_view name) : base_(header_size + name.size() + 4) {
    remember(name, header_size);
}

void Packer::add(Section section, std::optional<std::string_view> owner, std::uint16_t type, const RRset& set,
                 bool required, std::uint32_t ttl_cap) {
    for (const std::string& rdata : set.rdata) {
        if (owner)
            write_name(*owner);
        else
            append16(bytes_, pointer_bits | header_size);
        append16(bytes_, type);
        append16(bytes_, class_in);
        append32(bytes_, std::min(set.ttl, ttl_cap));
        const std::size_t length_at = bytes_.size();
        append16(bytes_, 0);
        const NameLayout layout = compressible_names(type);
        std::string_view rest = rdata;
        bytes_ += rest.substr(0, layout.lead);
        rest.remove_prefix(layout.lead);
        for (std::size_t i = 0; i < layout.names; ++i) {
            const std::size_t size = name_length(rest);
            write_name(rest.substr(0, size));
            rest.remove_prefix(size);
        }
        bytes_ += rest;
        put16(reinterpret_cast<std::uint8_t*>(bytes_.data()) + length_at,
              static_cast<std::uint32_t>(bytes_.size() - length_at - 2));
    }
    ends_.push_back({static_cast<std::uint32_t>(bytes_.size()), static_cast<std::uint16_t>(set.rdata.size()),
                     section, required});
}

void Packer::write_name(std::string_view name) {
    const std::size_t start = base_ + bytes_.size();
    const Name lowered = lower(name);
    std::size_t kept = 0;
    while (name[kept] != 0) {
        const auto known = offsets_.find(std::string_view(lowered).substr(kept));
        if (known != offsets_.end()) {
            bytes_ += name.substr(0, kept);
            pointers_.push_back(static_cast<std::uint32_t>(bytes_.size()));
            append16(bytes_, pointer_bits | known->second);
            remember(lowered, start);
            return;
        }
        kept += 1 + static_cast<std::uint8_t>(name[kept]);
    }
    bytes_ += name;
    remember(lowered, start);
}

void Packer::remember(std::string_view name, std::size_t offset) {
    for (std::string_view rest = name; rest[0] != 0; rest = parent(rest)) {
        const std::size_t at = offset + (name.size() - rest.size());
        // A suffix that is known already is where the rest of this name points to: it is not written here.
        if (at > last_target || !offsets_.emplace(rest, static_cast<std::uint16_t>(at)).second) return;
    }
}

} // namespace p2prc::edge::dns
