// The table of routes in the form in which the edge looks it up: immutable, replaced as a whole.
#pragma once

#include "core/route_table.h"
#include "edge/relay/target.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace p2prc::edge {

struct CompiledRoute {
    Route route;
    std::optional<Target> target; // of `to`; nothing: through the tunnel
};

class RouteSnapshot {
  public:
    // Leaves out routes whose domain is invalid or duplicate, or whose `to` is not ADDRESS:PORT, and adds
    // them to `rejected`.
    static std::shared_ptr<const RouteSnapshot> compile(const RouteTable& table,
                                                        std::vector<Rejection>& rejected);

    // Prefers the exact name to a wildcard. A wildcard matches exactly one left label. `name` is normalised.
    const CompiledRoute* find(std::string_view name) const;

    std::uint64_t revision() const noexcept { return revision_; }
    std::size_t size() const noexcept { return exact_.size() + wildcard_.size(); }

  private:
    struct Hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    using Map = std::unordered_map<std::string, CompiledRoute, Hash, std::equal_to<>>;

    std::uint64_t revision_ = 0;
    Map exact_;
    Map wildcard_; // "home.example" for "*.home.example"
};

} // namespace p2prc::edge
