#include "edge/dns/zone.h"

#include "core/encoding.h"
#include "core/ip_text.h"
#include "core/names.h"
#include "core/text.h"
#include "core/zone_records.h"
#include "edge/dns/constants.h"
#include "edge/dns/rdata.h"
#include "edge/dns/record.h"
#include "edge/dns/wire.h"

#include <fmt/core.h>

#include <algorithm>
#include <ranges>
#include <set>
#include <utility>

namespace p2prc::edge::dns {
namespace {

// Leaves room in a TCP message for the question, the authority section and OPT.
constexpr std::size_t max_rrset = 48 * 1024;
constexpr std::size_t record_overhead = 12;
// Of a zone: they stand at every mapped name.
constexpr std::size_t most_addresses = 32;

std::unexpected<Error> refuse(const std::string& where, std::string message, std::string hint = {}) {
    return fail(ErrorCode::InvalidSpec, where + ": " + std::move(message), std::move(hint));
}

// Records of a zone that were left out: which, and why.
using BadRecords = std::vector<std::pair<std::size_t, Error>>;

class Compiler {
  public:
    // Without `bad` the first bad record is the zone's error.
    Compiler(const Zone& zone, Name apex, BadRecords* bad = nullptr) : zone_(zone), bad_(bad) {
        data_.apex = std::move(apex);
    }

    Result<ZoneData> run(std::span<const std::string> mapped) {
        const std::string file = zone_.file_name.empty() ? "zone " + zone_.name : zone_.file_name;
        auto records = parse_master_file(zone_.file_text, file, data_.apex);
        if (!records) return std::unexpected(std::move(records.error()));
        Result<void> good;
        for (auto record = records->begin(); good && record != records->end(); ++record)
            good = add(*record);
        for (std::size_t i = 0; good && i < zone_.records.size(); ++i) {
            const auto record = parse_record(zone_.records[i]);
            good = record ? add(*record) : std::unexpected(record.error());
            if (good || !bad_) continue;
            bad_->emplace_back(i, std::move(good.error()));
            good = {};
        }
        if (good) good = make_authority();
        if (good) make_addresses(mapped);
        if (good) good = check_delegations();
        if (!good) return std::unexpected(std::move(good.error()));
        return std::move(data_);
    }

  private:
    // Nothing is added where it fails.
    Result<void> add(const Record& record) {
        const bool at_apex = record.owner == data_.apex;
        const std::string owner = name_to_text(record.owner);
        if (!is_at_or_below(record.owner, data_.apex))
            return refuse(record.where, fmt::format("'{}' is not in zone '{}'", owner, zone_.name),
                          "end relative names without a dot, or add a zone");
        if (record.type == type::SOA && !at_apex)
            return refuse(record.where, fmt::format("SOA at '{}' instead of the apex", owner));
        if (record.type == type::CNAME && at_apex)
            return refuse(record.where, fmt::format("CNAME at the apex '{}'", owner),
                          "use A, AAAA or HTTPS records at the apex");
        if ((record.type == type::NS || record.type == type::DS) && is_wildcard(record.owner))
            return refuse(record.where, fmt::format("{} at the wildcard '{}'", type_name(record.type), owner),
                          "delegate names one by one"); // RFC 4592 sections 4.2 and 4.6
        static const RRsets none;
        const auto there = data_.names.find(record.owner);
        const RRsets& sets = there == data_.names.end() ? none : there->second;
        const auto clash = std::ranges::find_if(sets, [&](const auto& set) {
            return record.type == type::CNAME ? set.first != type::CNAME : set.first == type::CNAME;
        });
        if (clash != sets.end())
            return refuse(record.where,
                          fmt::format("'{}' has both {} and {}", owner, type_name(record.type),
                                      type_name(clash->first)),
                          "a CNAME stands alone at its name (RFC 1034 section 3.6.2)");
        const auto same = sets.find(record.type);
        if (same != sets.end() &&
            std::ranges::find(same->second.rdata, record.rdata) != same->second.rdata.end())
            return {};
        if (same != sets.end() && (record.type == type::CNAME || record.type == type::SOA))
            return refuse(record.where, fmt::format("a second {} at '{}'", type_name(record.type), owner),
                          "keep one");
        const std::size_t before = same == sets.end() ? 0 : sizes_[&same->second];
        const std::size_t size = before + record.rdata.size() + record_overhead;
        if (size > max_rrset)
            return refuse(record.where,
                          fmt::format("the {} records of '{}' are more than an answer can carry",
                                      type_name(record.type), owner),
                          "use fewer");
        RRset& set = data_.names[record.owner][record.type];
        sizes_[&set] = size;
        // RFC 2181 section 5.2: one TTL a set; where they differ the shortest is safe.
        set.ttl = set.rdata.empty() ? record.ttl : std::min(set.ttl, record.ttl);
        set.rdata.push_back(record.rdata);
        return {};
    }

    // SOA, NS and the servers' names, as far as the file leaves them out.
    Result<void> make_authority() {
        for (const std::string& text : zone_.addresses)
            if (!ip_family(text))
                return refuse("zone " + zone_.name, fmt::format("'{}' is not an address", text),
                              "give IPv4 or IPv6 addresses");
        const std::string zone = name_to_text(data_.apex);
        const MadeRecords made = made_records(zone, zone_.addresses);
        auto addresses = read(made.addresses);
        if (!addresses) return std::unexpected(std::move(addresses.error()));
        addresses_ = std::move(*addresses);
        RRsets& apex = data_.names[data_.apex];
        if (!apex.contains(type::NS)) {
            if (made.name_servers.empty())
                return refuse("zone " + zone_.name, "there is neither an address nor an NS record",
                              "give `addresses`, or NS records in the zone's file");
            auto servers = read(made.name_servers);
            if (!servers) return std::unexpected(std::move(servers.error()));
            apex.merge(*servers);
        }
        for (const auto& server : made.servers) {
            const auto name = name_from_text(server.front().name);
            auto sets = name ? read(server) : std::unexpected(name.error());
            if (!sets) return std::unexpected(std::move(sets.error()));
            if (!data_.names.contains(*name)) set_addresses(*name, *sets);
        }
        if (const auto soa = apex.find(type::SOA); soa != apex.end()) {
            data_.file_serial = data_.serial();
        } else {
            const std::string primary = name_to_text(apex[type::NS].rdata.front());
            const std::array made_soa{soa_record(zone, primary, 0)};
            auto sets = read(made_soa);
            if (!sets) return std::unexpected(std::move(sets.error()));
            apex.merge(*sets);
        }
        data_.set_serial(0);
        return {};
    }

    // RRsets of records that all are of one name.
    static Result<RRsets> read(std::span<const ZoneRecord> records) {
        RRsets sets;
        for (const ZoneRecord& source : records) {
            auto record = parse_record(source);
            if (!record) return std::unexpected(std::move(record.error()));
            RRset& set = sets[record->type];
            set.ttl = record->ttl;
            set.rdata.push_back(std::move(record->rdata));
        }
        return sets;
    }

    void make_addresses(std::span<const std::string> mapped) {
        set_addresses(data_.apex, addresses_);
        // What is no name has no route either: there it is said.
        for (const std::string& domain : mapped)
            if (const auto name = name_from_text(domain)) set_addresses(lower(*name), addresses_);
    }

    // A DS belongs to the parent's side of a zone cut (RFC 4035 section 2.4).
    Result<void> check_delegations() const {
        for (const auto& [name, sets] : data_.names)
            if (sets.contains(type::DS) && (name == data_.apex || !sets.contains(type::NS)))
                return refuse("zone " + zone_.name,
                              fmt::format("DS at '{}', which is not delegated", name_to_text(name)),
                              "add NS records for it, or remove the DS");
        return {};
    }

    // An address or CNAME that the owner wrote answers for the name instead; at or below a delegation the
    // child does.
    void set_addresses(const Name& name, const RRsets& made) {
        for (std::string_view at = name; at != data_.apex; at = parent(at))
            if (const RRsets* sets = data_.find(at); sets != nullptr && sets->contains(type::NS)) return;
        RRsets& sets = data_.names[name];
        if (sets.contains(type::A) || sets.contains(type::AAAA) || sets.contains(type::CNAME)) return;
        sets.insert(made.begin(), made.end());
        if (sets.empty()) data_.names.erase(name);
    }

    const Zone& zone_;
    BadRecords* bad_;
    ZoneData data_;
    RRsets addresses_; // of the apex and of mapped names
    std::map<const RRset*, std::size_t> sizes_;
};

} // namespace

const RRsets* ZoneData::find(std::string_view name) const {
    const auto found = names.find(name);
    return found == names.end() ? nullptr : &found->second;
}

void ZoneData::set_serial(std::uint32_t serial) {
    std::string& rdata = names.at(apex).at(type::SOA).rdata.front();
    put32(reinterpret_cast<std::uint8_t*>(rdata.data()) + rdata.size() - 20, serial);
}

std::uint32_t ZoneData::serial() const {
    const std::string& rdata = names.at(apex).at(type::SOA).rdata.front();
    return get32(reinterpret_cast<const std::uint8_t*>(rdata.data()) + rdata.size() - 20);
}

std::array<std::uint8_t, 32> ZoneData::digest() const {
    std::string canonical = apex;
    for (const auto& [name, sets] : names)
        for (const auto& [type, set] : sets) {
            append32(canonical, static_cast<std::uint32_t>(name.size()));
            canonical += name;
            append16(canonical, type);
            append32(canonical, set.ttl);
            append32(canonical, static_cast<std::uint32_t>(set.rdata.size()));
            for (std::string rdata : set.rdata) {
                if (type == type::SOA) std::fill_n(rdata.end() - 20, 4, '\0');
                append32(canonical, static_cast<std::uint32_t>(rdata.size()));
                canonical += rdata;
            }
        }
    return sha256(as_bytes(canonical));
}

namespace {

Result<ZoneData> compile(const Zone& zone, std::span<const std::string> mapped, BadRecords* bad) {
    auto apex = name_from_text(zone.name);
    if (!apex) return std::unexpected(std::move(apex.error()));
    // The longest label that is made below an apex.
    if (constexpr std::string_view label = "hostmaster"; apex->size() + 1 + label.size() > max_name)
        return refuse("zone " + zone.name, fmt::format("its name leaves no room for '{}' before it", label),
                      "choose a shorter name");
    return Compiler(zone, lower(*apex), bad).run(mapped);
}

// Two spellings of one apex are one zone.
bool same_zone(const Zone& a, const Zone& b) {
    const auto name = name_from_text(a.name), other = name_from_text(b.name);
    return name && other && lower(*name) == lower(*other);
}

} // namespace

Result<ZoneData> compile_zone(const Zone& zone, std::span<const std::string> mapped) {
    return compile(zone, mapped, nullptr);
}

Result<void> check_zones(const RouteTable& table) {
    std::set<Name> apexes;
    for (const Zone& zone : table.zones) {
        const auto apex = name_from_text(zone.name);
        if (!apex) return std::unexpected(apex.error());
        if (!apexes.insert(lower(*apex)).second)
            return refuse("zone " + zone.name, "it is there twice", "keep one");
        if (auto compiled = compile_zone(zone, {}); !compiled)
            return std::unexpected(std::move(compiled.error()));
    }
    return {};
}

AdmittedZone admit_zone(const Zone& zone) {
    AdmittedZone result{zone, zone, {}};
    std::erase_if(result.served->addresses, [&](const std::string& address) {
        if (ip_family(address)) return false;
        result.rejected.push_back(
            {text::excerpt(zone.name), "'" + text::excerpt(address) + "' is not an address"});
        return true;
    });
    if (result.served->addresses.size() > most_addresses) {
        result.served->addresses.resize(most_addresses);
        result.rejected.push_back(
            {text::excerpt(zone.name), fmt::format("it has more than {} addresses", most_addresses)});
    }
    BadRecords bad;
    if (const auto compiled = compile(*result.served, {}, &bad); !compiled) {
        result.rejected.push_back({text::excerpt(zone.name), compiled.error().message});
        result.served.reset();
        return result;
    }
    auto& records = result.served->records;
    for (const auto& [index, error] : bad)
        result.rejected.push_back({text::excerpt(records[index].name), error.message});
    for (const auto& each : bad | std::views::reverse)
        records.erase(records.begin() + static_cast<std::ptrdiff_t>(each.first));
    return result;
}

std::vector<AdmittedZone> admit_zones(const RouteTable& table, std::span<const AdmittedZone> before) {
    std::vector<AdmittedZone> all;
    for (const Zone& zone : table.zones) {
        const bool twice =
            std::ranges::any_of(all, [&](const AdmittedZone& other) { return same_zone(other.asked, zone); });
        if (twice) {
            all.push_back({zone, std::nullopt, {{text::excerpt(zone.name), "it is there twice"}}});
            continue;
        }
        const auto known = std::ranges::find(before, zone, &AdmittedZone::asked);
        if (known != before.end()) {
            all.push_back(*known);
            continue;
        }
        all.push_back(admit_zone(zone));
        if (all.back().served) continue;
        const auto last = std::ranges::find_if(before, [&](const AdmittedZone& other) {
            return other.served && same_zone(*other.served, zone);
        });
        if (last != before.end()) all.back().served = last->served;
    }
    return all;
}

Result<std::vector<ZoneData>> compile_zones(const RouteTable& table) {
    std::vector<std::vector<std::string>> mapped(table.zones.size());
    for (const Route& route : table.routes) {
        std::size_t best = table.zones.size();
        for (std::size_t i = 0; i < table.zones.size(); ++i)
            if (in_zone(route.domain, table.zones[i].name) &&
                (best == table.zones.size() || table.zones[i].name.size() > table.zones[best].name.size()))
                best = i;
        if (best < mapped.size()) mapped[best].push_back(route.domain);
    }
    std::vector<ZoneData> zones;
    for (std::size_t i = 0; i < table.zones.size(); ++i) {
        auto zone = compile_zone(table.zones[i], mapped[i]);
        if (!zone) return std::unexpected(std::move(zone.error()));
        const bool twice =
            std::ranges::any_of(zones, [&](const ZoneData& other) { return other.apex == zone->apex; });
        if (twice) return refuse("zone " + table.zones[i].name, "it is there twice", "keep one");
        zones.push_back(std::move(*zone));
    }
    return zones;
}

} // namespace p2prc::edge::dns
