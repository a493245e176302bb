#include "edge/routes/snapshot.h"

#include <fmt/format.h>

namespace p2prc::edge {

Result<std::shared_ptr<const RouteSnapshot>> RouteSnapshot::compile(RouteTable table) {
    auto snapshot = std::make_shared<RouteSnapshot>();
    for (auto& route : table.routes) {
        CompiledRoute compiled{std::move(route), std::nullopt};
        const auto& domain = compiled.route.domain;
        if (!compiled.route.to.empty()) {
            const auto endpoint = net::Endpoint::parse(compiled.route.to);
            if (!endpoint || endpoint->port == 0)
                return fail(ErrorCode::InvalidSpec,
                            fmt::format("route '{}': '{}' is not ADDRESS:PORT", domain, compiled.route.to),
                            "write an IP address and a port, such as 127.0.0.1:9443 or [::1]:9443");
            compiled.target = Target::of(*endpoint);
        }
        const bool wildcard = domain.starts_with("*.");
        auto key = wildcard ? domain.substr(2) : domain;
        (wildcard ? snapshot->wildcard_ : snapshot->exact_)
            .insert_or_assign(std::move(key), std::move(compiled));
    }
    table.routes.clear();
    snapshot->table_ = std::move(table);
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
