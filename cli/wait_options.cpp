#include "cli/wait_options.h"

#include "cli/usage.h"
#include "core/duration.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t longest_wait = 900; // seconds; p2prcd refuses longer ones

} // namespace

Json wait_options(const WaitOptions& options) {
    if (options.no_wait) return Json{{"until", "started"}};
    if (options.timeout.empty()) return Json{{"until", "ready"}};
    return Json{{"until", "ready"}, {"timeout_seconds", *parse_duration(options.timeout)}};
}

void add_wait_options(CLI::App* verb, WaitOptions& options) {
    auto* no_wait = verb->add_flag("--no-wait", options.no_wait, "return as soon as it has started");
    verb->add_option("--timeout", options.timeout,
                     "how long to wait for it to be ready: 30s, 10m (default 60s, or longer by its file)")
        ->type_name("TIME")
        ->check(time_up_to(longest_wait))
        ->excludes(no_wait);
}

} // namespace p2prc::cli
