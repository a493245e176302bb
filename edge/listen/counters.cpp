#include "edge/listen/counters.h"

#include <nlohmann/json.hpp>

#include <string>

namespace p2prc::edge {

const std::array<CounterInfo, 18> counter_table{{
    {"accepted", &Counters::accepted},
    {"over_limit", &Counters::over_limit},
    {"over_bytes", &Counters::over_bytes},
    {"no_descriptors", &Counters::no_descriptors},
    {"first_timeout", &Counters::first_timeout},
    {"first_closed", &Counters::first_closed},
    {"routed", &Counters::routed},
    {"control", &Counters::control},
    {"sessions", &Counters::sessions},
    {"flows", &Counters::flows},
    {"no_name", &Counters::no_name},
    {"unknown_name", &Counters::unknown_name},
    {"unserved", &Counters::unserved},
    {"redirected", &Counters::redirected},
    {"http_refused", &Counters::http_refused},
    {"dial_failed", &Counters::dial_failed},
    {"resets", &Counters::resets},
    {"idle_closed", &Counters::idle_closed},
}};

nlohmann::json to_json(const Counters& counters) {
    auto document = nlohmann::json::object();
    for (const auto& row : counter_table)
        document[std::string(row.name)] = counters.*row.value;
    auto refused = nlohmann::json::object();
    for (std::size_t i = 0; i < hello_refusal_count; ++i)
        refused[std::string(hello_refusal_name(static_cast<HelloRefusal>(i)))] = counters.refused[i];
    document["refused"] = std::move(refused);
    return document;
}

} // namespace p2prc::edge
