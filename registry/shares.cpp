#include "registry/shares.h"

#include "core/json_members.h"
#include "core/names.h"
#include "registry/maker.h"

namespace p2prc::registry {

Share& Share::operator+=(const Share& other) {
    processes += other.processes;
    record_bytes += other.record_bytes;
    processes_on += other.processes_on;
    tombstones += other.tombstones;
    domains += other.domains;
    domain_bytes += other.domain_bytes;
    owned_keys += other.owned_keys;
    owned_bytes += other.owned_bytes;
    offers += other.offers;
    return *this;
}

Share& Shares::at(std::string_view node, std::string_view sealed) {
    return shares_[{std::string(node), std::string(sealed)}];
}

void Shares::count(std::string_view key, const nlohmann::json* document, std::size_t size, int sign) {
    const auto* family = keys::family_of(key);
    if (!family || family->share == keys::Share::None) return;
    const auto bytes = sign * static_cast<std::int64_t>(key.size() + size);
    if (family->counts_by_key()) {
        const auto parsed = keys::parse(key);
        if (!parsed) return;
        auto& share = at(parsed->node(), {});
        share.owned_keys += sign;
        share.owned_bytes += bytes;
        if (family->share == keys::Share::Offers) share.offers += sign;
        return;
    }
    if (!document) return;
    const auto made_by = [&](const char* member) -> Share& {
        return at(node_of(json::member<std::string>(*document, member)), rules::sealed_maker(*document));
    };
    if (family->prefix == keys::tombstones) {
        made_by("by").tombstones += sign;
    } else if (family->share == keys::Share::Processes) {
        auto& there = at(json::member<std::string>(*document, "node"), {});
        auto& share = rules::counts_for_its_node(*document) ? there : made_by("created_by");
        share.processes += sign;
        share.record_bytes += bytes;
        there.processes_on += sign;
    } else if (family->share == keys::Share::Domains) {
        auto& share = made_by("created_by");
        share.domains += sign;
        share.domain_bytes += bytes;
    }
}

void Shares::add(const Shares& change) {
    for (const auto& [holder, share] : change.shares_) {
        auto& sum = shares_[holder];
        sum += share;
        if (sum == Share{}) shares_.erase(holder);
    }
}

Share Shares::of(std::string_view node, std::string_view key) const {
    Share sum;
    for (const auto sealed : {std::string_view(), key}) {
        const auto found = shares_.find({std::string(node), std::string(sealed)});
        if (found != shares_.end()) sum += found->second;
        if (key.empty()) break;
    }
    return sum;
}

} // namespace p2prc::registry
