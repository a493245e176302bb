// Any bytes as the result of a deployer: no path of it leads out of its directory, and what becomes lines and
// settings of a unit is plain text.
#include "process/deploy_result.h"

#include "core/names.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "tests/fuzz/require.h"

#include <cstdint>
#include <filesystem>
#include <string_view>

using p2prc::fuzz::require;
using namespace p2prc;

namespace {

void require_beneath(const std::string& path) {
    if (path.empty()) return;
    require(!std::filesystem::path(path).is_absolute() && !text::has_controls(path));
    for (const auto& part : std::filesystem::path(path))
        require(part != "..");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto result = process::read_deploy_result(bytes);
    if (!result) return 0;
    require(size <= process::longest_deploy_result);
    require_beneath(result->directory);
    require_beneath(result->work_directory);
    require_beneath(result->root);
    require(result->volumes.empty() || result->root.empty() == !result->container.empty());
    require(result->container.empty() || is_fingerprint(result->container));
    require(result->container.empty() || (result->directory.empty() && result->work_directory.empty()));
    require(result->volumes.size() <= process::most_volumes);
    for (const auto& volume : result->volumes) {
        require(!volume.empty());
        require_beneath(volume);
        require(result->container.empty() || !volume.contains(':'));
    }
    require(check_root("/" + result->root + "x").empty() || result->root.empty());
    require(result->command.empty() || check_command(result->command, false).empty());
    require(check_environment(result->environment).empty());
    require(!result->environment.contains("DEPLOY") && !result->environment.contains("PORT"));
    require(!text::has_controls(result->resolved) && !text::has_controls(result->note));
    return 0;
}
