#include "cli/public_addresses.h"

#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <vector>

namespace p2prc::cli {

std::string found_addresses_text(const nlohmann::json& fleet) {
    const auto found = fleet.value("public_ips", std::vector<std::string>{});
    return fmt::format(
        "the fleet's public {} {}, found on this machine; to use others: p2prc init --public-ip IP",
        found.size() == 1 ? "address is" : "addresses are",
        text::for_terminal(fmt::format("{}", fmt::join(found, " and "))));
}

} // namespace p2prc::cli
