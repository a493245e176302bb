// How long a start is waited for: --no-wait and --timeout.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace CLI {
class App;
}

namespace p2prc::cli {

struct WaitOptions {
    bool no_wait = false;
    std::string timeout; // empty: as long as p2prcd thinks right
};

void add_wait_options(CLI::App* verb, WaitOptions& options);
// As p2prcd takes them.
nlohmann::json wait_options(const WaitOptions& options);

} // namespace p2prc::cli
