// The table of routes as the edge looks it up: immutable, compiled once, swapped whole.
#pragma once

#include "core/route_table.h"
#include "edge/relay/target.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace p2prc::edge {

struct CompiledRoute {
    Route route;
    std::optional<Target> target; // of `to`; nothing: through the tunnel
};

class RouteSnapshot {
  public:
    // InvalidSpec when a route's `to` is not ADDRESS:PORT.
    static Result<std::shared_ptr<const RouteSnapshot>> compile(RouteTable table);

    // The exact name before a wildcard; a wildcard stands for exactly one left label. `name` is normalised.
    const CompiledRoute* find(std::string_view name) const;

    // Without its routes, which have been compiled.
    const RouteTable& table() const noexcept { return table_; }
    std::size_t size() const noexcept { return exact_.size() + wildcard_.size(); }

  private:
    struct Hash : std::hash<std::string_view> {
        using is_transparent = void;
    };
    using Map = std::unordered_map<std::string, CompiledRoute, Hash, std::equal_to<>>;

    RouteTable table_;
    Map exact_;
    Map wildcard_; // "home.example" for "*.home.example"
};

} // namespace p2prc::edge
