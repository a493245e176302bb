#include "process/data_ownership.h"

#include "core/paths.h"
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
    // Each start of what was stopped waits for this one: a mount namespace of its own (ProtectSystem= and the
    // like) would take longer than the rest of it, and chown(1) of one path writes to no file.
    return {
        {"Description", "s", fmt::format("Data directory of p2prc process {}", process_name)},
        {"CollectMode", "s", "inactive-or-failed"},
        {"SyslogIdentifier", "s", "p2prcd"},
        {"Type", "s", "oneshot"},
        {"NoNewPrivileges", "b", true},
        {"CapabilityBoundingSet", "t", cap_chown},
        {"RestrictSUIDSGID", "b", true},
        {"LockPersonality", "b", true},
        {"SystemCallArchitectures", "as", json::array({"native"})},
        {"RestrictAddressFamilies", "(bas)", json::array({true, json::array({"AF_UNIX"})})},
        {"ExecStartEx", "a(sasas)", json::array({command})},
    };
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
