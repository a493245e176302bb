// What `p2prc init` says of public addresses that nobody gave it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace p2prc::cli {

// `fleet` is what Init answers. p2prcd took all addresses of this machine that the Internet can reach, of
// both families: a person who thinks of one learns of the other here.
std::string found_addresses_text(const nlohmann::json& fleet);

} // namespace p2prc::cli
