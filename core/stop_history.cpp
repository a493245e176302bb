#include "core/stop_history.h"

#include "core/text.h"

#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

// Every node keeps them all.
constexpr std::size_t longest_kept = 300;

const nlohmann::json* list_of(const nlohmann::json& document) {
    if (!document.is_object()) return nullptr;
    const auto list = document.find("stops");
    return list == document.end() || !list->is_array() ? nullptr : &*list;
}

} // namespace

nlohmann::json with_stop(const nlohmann::json& before, StopReason reason) {
    reason.log.clear();
    for (auto* text : {&reason.signal, &reason.step, &reason.by, &reason.owner, &reason.detail})
        *text = text::excerpt(*text, longest_kept);
    nlohmann::json list = nlohmann::json::array();
    list.push_back(reason_to_json(reason));
    for (const auto& stop : stops_from_json(before)) {
        if (stop.at == reason.at || list.size() >= most_stops) continue;
        list.push_back(reason_to_json(stop));
    }
    nlohmann::json document;
    document["schema"] = 1;
    document["stops"] = std::move(list);
    return document;
}

std::vector<StopReason> stops_from_json(const nlohmann::json& document) {
    std::vector<StopReason> stops;
    if (const auto* list = list_of(document))
        for (const auto& stop : *list)
            if (stop.is_object() && stops.size() < most_stops) stops.push_back(reason_from_json(stop));
    return stops;
}

} // namespace p2prc
