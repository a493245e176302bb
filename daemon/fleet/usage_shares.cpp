#include "daemon/fleet/usage_shares.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace p2prc::daemon {
namespace {

struct Part {
    std::string node;
    Json usage;
    std::vector<std::size_t> rows; // the size of each
    std::size_t size = 0;          // of all
};

Part part_of(const std::string& node, const NodeUsage& usage) {
    Part part{node, to_json(usage), {}, node.size()};
    part.rows.reserve(usage.processes.size());
    for (const Json& row : part.usage["processes"]) {
        part.rows.push_back(row.dump().size() + 1); // and a comma
        part.size += part.rows.back();
    }
    return part;
}

void cut(Part& part, std::size_t share) {
    auto& rows = part.usage["processes"].get_ref<Json::array_t&>();
    while (part.size > share && !rows.empty()) {
        part.size -= part.rows.back();
        part.rows.pop_back();
        rows.pop_back();
    }
}

} // namespace

Json share_usage(const UsageByNode& nodes, std::size_t room) {
    std::vector<Part> parts;
    parts.reserve(nodes.size());
    for (const auto& [node, usage] : nodes)
        parts.push_back(part_of(node, usage));
    std::ranges::sort(parts, {}, &Part::size);
    Json answer = Json::object();
    auto left = parts.size();
    for (auto& part : parts) {
        cut(part, room / left--);
        room -= std::min(room, part.size);
        answer[part.node] = std::move(part.usage);
    }
    return answer;
}

} // namespace p2prc::daemon
