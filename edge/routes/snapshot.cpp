#include "edge/routes/snapshot.h"

#include "core/names.h"
#include "core/text.h"

#include <fmt/format.h>

namespace p2prc::edge {
namespace {

// Why a route cannot be served, or nothing; its target where it has one.
std::optional<std::string> refusal(const Route& route, std::optional<Target>& target) {
    const auto domain = normalize_domain(route.domain);
    if (!domain) return domain.error().message;
    if (*domain != route.domain) return "it is not in its normal form, '" + *domain + "'";
    if (route.to.empty()) return std::nullopt;
    const auto endpoint = net::Endpoint::parse(route.to);
    if (!endpoint || endpoint->port == 0)
        return fmt::format("'{}' is not ADDRESS:PORT, such as 127.0.0.1:9443 or [::1]:9443",
                           text::excerpt(route.to));
    target = Target::of(*endpoint);
    return std::nullopt;
}

} // namespace

std::shared_ptr<const RouteSnapshot> RouteSnapshot::compile(const RouteTable& table,
                                                            std::vector<Rejection>& rejected) {
    auto snapshot = std::make_shared<RouteSnapshot>();
    snapshot->revision_ = table.revision;
    for (const auto& route : table.routes) {
        CompiledRoute compiled{route, std::nullopt};
        if (auto why = refusal(route, compiled.target)) {
            rejected.push_back({text::excerpt(route.domain), std::move(*why)});
            continue;
        }
        const bool wildcard = route.domain.starts_with("*.");
        auto key = wildcard ? route.domain.substr(2) : route.domain;
        auto& map = wildcard ? snapshot->wildcard_ : snapshot->exact_;
        if (!map.try_emplace(std::move(key), std::move(compiled)).second)
            rejected.push_back({route.domain, "it is routed twice; the first route counts"});
    }
    return snapshot;
}

const CompiledRoute* RouteSnapshot::find(std::string_view name) const {
    if (const auto found = exact_.find(name); found != exact_.end()) return &found->second;
    const auto dot = name.find('.');
    if (dot == std::string_view::npos) return nullptr;
    const auto found = wildcard_.find(name.substr(dot + 1));
    return found == wildcard_.end() ? nullptr : &found->second;
}

} // namespace p2prc::edge
