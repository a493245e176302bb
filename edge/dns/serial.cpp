#include "edge/dns/serial.h"

#include "core/encoding.h"
#include "net/file.h"

#include <fmt/core.h>

#include <sstream>

namespace p2prc::edge::dns {
namespace {

// The successor of `last`. Zero is skipped: some secondaries take it for "unset" (RFC 2136 section 4.2).
std::uint32_t next(std::uint32_t last) {
    return last == UINT32_MAX ? 1 : last + 1;
}

} // namespace

Result<void> Serials::load() {
    if (file_.empty()) return {};
    const auto text = net::read_file(file_);
    if (!text)
        return text.error().code == ErrorCode::NotFound ? Result<void>{} : std::unexpected(text.error());
    std::istringstream lines(*text);
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string zone;
        Served served;
        if (!(words >> zone >> served.serial >> served.digest))
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("{}: '{}' is not ZONE SERIAL DIGEST", file_.string(), line),
                        "remove the file; secondaries then need serials above the ones they have");
        served_[zone] = std::move(served);
    }
    return {};
}

Result<void> Serials::assign(std::span<ZoneData> zones, std::uint64_t revision) {
    auto served = served_;
    for (ZoneData& zone : zones) {
        const std::uint32_t wished = zone.file_serial.value_or(static_cast<std::uint32_t>(revision));
        std::string digest = to_hex(zone.digest());
        const auto [entry, fresh] = served.try_emplace(name_to_text(zone.apex));
        Served& last = entry->second;
        const bool later = serial_after(wished, last.serial) && (last.digest != digest || zone.file_serial);
        if (fresh || later)
            last.serial = wished == 0 ? 1 : wished;
        else if (last.digest != digest)
            last.serial = next(last.serial);
        last.digest = std::move(digest);
        zone.set_serial(last.serial);
    }
    if (served == served_) return {};
    if (!file_.empty()) {
        std::string text;
        for (const auto& [zone, last] : served)
            text += fmt::format("{} {} {}\n", zone, last.serial, last.digest);
        if (auto written = net::write_file_atomically(file_, text); !written) return written;
    }
    served_ = std::move(served);
    return {};
}

} // namespace p2prc::edge::dns
