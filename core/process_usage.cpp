#include "core/process_usage.h"

#include "core/json_members.h"
#include "core/text.h"

#include <array>
#include <utility>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::size_t invocation_length = 32; // sd_id128_t in hexadecimal digits

constexpr std::array counters{
    std::pair{"memory_bytes", &ProcessUsage::memory_bytes},
    std::pair{"cpu_usec", &ProcessUsage::cpu_usec},
    std::pair{"io_read_bytes", &ProcessUsage::io_read_bytes},
    std::pair{"io_written_bytes", &ProcessUsage::io_written_bytes},
    std::pair{"tasks", &ProcessUsage::tasks},
    std::pair{"connections", &ProcessUsage::connections},
    std::pair{"received_bytes", &ProcessUsage::received_bytes},
    std::pair{"sent_bytes", &ProcessUsage::sent_bytes},
};

} // namespace

Json to_json(const ProcessUsage& usage) {
    Json document;
    document["invocation"] = usage.invocation;
    for (const auto& [key, counter] : counters)
        document[key] = usage.*counter ? Json(*(usage.*counter)) : Json(nullptr);
    return document;
}

Json to_json(const NodeUsage& usage) {
    Json processes = Json::array();
    for (const auto& [id, process] : usage.processes) {
        Json row{{"id", id}, {"invocation", process.invocation}};
        for (const auto& [key, counter] : counters)
            if (process.*counter) row[key] = *(process.*counter);
        processes.push_back(std::move(row));
    }
    return {{"measured_usec", usage.measured_usec}, {"processes", std::move(processes)}};
}

NodeUsage node_usage_from_json(const Json& document) {
    NodeUsage usage;
    usage.measured_usec = json::member<std::uint64_t>(document, "measured_usec");
    if (!document.is_object()) return usage;
    const auto rows = document.find("processes");
    if (rows == document.end() || !rows->is_array()) return usage;
    for (const Json& row : *rows) {
        const auto id = json::optional_member<std::uint32_t>(row, "id");
        if (!id) continue;
        ProcessUsage process;
        process.invocation =
            text::cut(text::for_terminal(json::member<std::string>(row, "invocation")), invocation_length);
        for (const auto& [key, counter] : counters)
            process.*counter = json::optional_member<std::uint64_t>(row, key);
        usage.processes.insert_or_assign(*id, std::move(process));
    }
    return usage;
}

} // namespace p2prc
