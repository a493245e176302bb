#include "core/zone_records.h"

#include "core/ip_text.h"
#include "core/name_servers.h"

#include <fmt/format.h>

#include <set>

namespace p2prc {
namespace {

constexpr std::uint32_t address_ttl = 60;
constexpr std::uint32_t ns_ttl = 3600;
// Within what registries check before they delegate (DENIC: refresh 3600-86400, retry 900-28800 and an eighth
// to a third of refresh, expire 604800-3600000, minimum 180-86400).
constexpr std::uint32_t refresh = 3600, retry = 900, expire = 1209600, minimum = 180;
// A negative answer lives as long as the shorter of MINIMUM and the SOA's own TTL (RFC 2308 section 5):
// short, so that no cache hides a process that moved or a challenge just published.
constexpr std::uint32_t soa_ttl = 60;

// As data of a record, where a name without a dot at its end would be relative.
std::string absolute(std::string_view name) {
    return name == "." ? "." : std::string(name) + ".";
}

} // namespace

MadeRecords made_records(std::string_view zone, std::span<const std::string> addresses) {
    const std::string apex(zone);
    MadeRecords made;
    for (const NameServer& server : name_servers(zone, addresses)) {
        made.name_servers.push_back({apex, "NS", ns_ttl, absolute(server.name)});
        auto& records = made.servers.emplace_back();
        if (!server.ipv4.empty()) records.push_back({server.name, "A", address_ttl, server.ipv4});
        if (!server.ipv6.empty()) records.push_back({server.name, "AAAA", address_ttl, server.ipv6});
    }
    for (const std::string& address : addresses)
        if (const auto family = ip_family(address))
            made.addresses.push_back({apex, *family == IpFamily::V4 ? "A" : "AAAA", address_ttl, address});
    return made;
}

ZoneRecord soa_record(std::string_view zone, std::string_view primary, std::uint32_t serial) {
    return {std::string(zone), "SOA", soa_ttl,
            fmt::format("{} {} {} {} {} {} {}", absolute(primary),
                        absolute(fmt::format("hostmaster.{}", zone)), serial, refresh, retry, expire,
                        minimum)};
}

std::vector<ZoneRecord> zone_records(const Zone& zone, std::span<const std::string> mapped,
                                     std::uint32_t serial) {
    const MadeRecords made = made_records(zone.name, zone.addresses);
    std::vector<ZoneRecord> records;
    const auto add = [&records](std::span<const ZoneRecord> more) {
        records.insert(records.end(), more.begin(), more.end());
    };
    if (!made.servers.empty())
        records.push_back(soa_record(zone.name, made.servers.front().front().name, serial));
    add(made.name_servers);
    add(made.addresses);
    std::set<std::string_view> names{zone.name};
    for (const auto& server : made.servers) {
        names.insert(server.front().name);
        add(server);
    }
    for (const std::string& name : mapped) {
        if (!names.insert(name).second) continue;
        for (ZoneRecord record : made.addresses) {
            record.name = name;
            records.push_back(std::move(record));
        }
    }
    add(zone.records);
    return records;
}

} // namespace p2prc
