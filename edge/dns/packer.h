// Writes the part of an answer that follows its question, with compression that survives a longer QNAME.
#pragma once

#include "edge/dns/zone.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge::dns {

enum class Section : std::uint8_t { Answer, Authority, Additional };

// Where an RRset ends. Without room for one that is `required`, the answer is truncated; without room for
// another, it and what follows are left out in silence (RFC 2181 section 9).
struct RRsetEnd {
    std::uint32_t end = 0;
    std::uint16_t records = 0;
    Section section = Section::Answer;
    bool required = true;
};

// An answer is packed as if the QNAME were `name`. When it is asked by a longer name that ends in `name` (a
// wildcard's, a name below a delegation, one that does not exist), every pointer in `pointers` moves by the
// difference; pointers to the QNAME itself are not in it, as the QNAME always starts at offset 12.
class Packer {
  public:
    explicit Packer(std::string_view name);

    // `owner` nothing: the QNAME, whatever it will be. `ttl_cap` shortens the set's TTL.
    void add(Section section, std::optional<std::string_view> owner, std::uint16_t type, const RRset& set,
             bool required, std::uint32_t ttl_cap = UINT32_MAX);

    const std::string& bytes() const noexcept { return bytes_; }
    const std::vector<std::uint32_t>& pointers() const noexcept { return pointers_; } // offsets in bytes()
    const std::vector<RRsetEnd>& ends() const noexcept { return ends_; }

  private:
    void write_name(std::string_view name);
    void remember(std::string_view name, std::size_t offset);

    std::size_t base_; // offset of bytes_ in the message
    std::string bytes_;
    std::vector<std::uint32_t> pointers_;
    std::vector<RRsetEnd> ends_;
    std::map<std::string, std::uint16_t, std::less<>>
        offsets_; // lower-case name -> where it stands in the message
};

} // namespace p2prc::edge::dns
