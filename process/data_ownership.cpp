#include "process/data_ownership.h"

#include "core/data_paths.h"
#include "core/paths.h"
#include "process/helper_sandbox.h"
#include "process/unit_names.h"

#include <fmt/format.h>

namespace p2prc::process {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::uint64_t cap_chown = std::uint64_t{1} << 0;

} // namespace

std::string ownership_unit_name(std::string_view process_name) {
    return fmt::format("p2prcd-data-{}.service", process_name);
}

std::vector<UnitProperty> ownership_unit(std::string_view process_name, std::string_view directory) {
    const auto command = json::array(
        {paths::chown, json::array({paths::chown, "--no-dereference", "root:root", "--", directory}),
         json::array({"no-env-expand"})});
    auto unit =
        helper_sandbox(fmt::format("Data directory of p2prc process {}", process_name),
                       json::array({fmt::format("-{}", data_root), fmt::format("-{}", private_data_root)}));
    unit.push_back({"Type", "s", "oneshot"});
    unit.push_back({"CapabilityBoundingSet", "t", cap_chown});
    unit.push_back({"ExecStartEx", "a(sasas)", json::array({command})});
    return unit;
}

asio::awaitable<Result<void>> disown_data(Systemd& systemd, std::string process_name, std::string directory) {
    const auto unit = ownership_unit_name(process_name);
    auto properties = ownership_unit(process_name, directory);
    JobShare share;
    const auto result = co_await systemd.start_transient(unit, std::move(properties), std::move(share));
    if (!result) co_return std::unexpected(result.error());
    if (*result != "done")
        co_return fail(ErrorCode::Failed,
                       fmt::format("{} was not given back to its process ({})", directory, *result),
                       fmt::format("journalctl -u {} has the reason", unit));
    co_return Result<void>{};
}

} // namespace p2prc::process
