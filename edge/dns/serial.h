// SOA serials: by RFC 1982, derived from the table's revision, on disk before they are served, never
// backwards.
#pragma once

#include "core/error.h"
#include "edge/dns/zone.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

namespace p2prc::edge::dns {

// Whether serial `a` comes after `b` (RFC 1982 section 3.2); of two exactly half the space apart, neither
// does.
constexpr bool serial_after(std::uint32_t a, std::uint32_t b) noexcept {
    return a != b && a - b < 0x80000000u;
}

// The serial last served for each zone, and what it stood for. Zones no longer served are remembered.
class Serials {
  public:
    // `file` empty: nothing is kept.
    explicit Serials(std::filesystem::path file) : file_(std::move(file)) {}

    // Reads the file; none is fine.
    Result<void> load();

    // Sets the serial of each zone: the last one where the content is the same, else one after it: that of
    // the zone's file or the low 32 bits of `revision` where that comes after. On disk when it returns
    // without an error.
    Result<void> assign(std::span<ZoneData> zones, std::uint64_t revision);

  private:
    struct Served {
        std::uint32_t serial = 0;
        std::string digest; // hexadecimal
        friend bool operator==(const Served&, const Served&) = default;
    };

    std::filesystem::path file_;
    std::map<std::string, Served> served_; // by the zone's name in text
};

} // namespace p2prc::edge::dns
