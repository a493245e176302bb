#include "edge/routes/file.h"

#include "net/file.h"

namespace p2prc::edge {

Result<RouteTable> load_routes_file(const std::string& path) {
    const auto text = net::read_file(path);
    if (!text) return std::unexpected(text.error());
    const ReadFile read = [](const std::string& name) { return net::read_file(name); };
    return route_table_from_toml(*text, path, read);
}

} // namespace p2prc::edge
