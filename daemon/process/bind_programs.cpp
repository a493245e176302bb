#include "daemon/process/bind_programs.h"

#include "core/paths.h"

#include <fmt/format.h>

#include <filesystem>

namespace p2prc::daemon {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::uint64_t cap_net_admin = std::uint64_t{1} << 12; // for programs of networking,
constexpr std::uint64_t cap_bpf = std::uint64_t{1} << 39;       // and for bpf(2) at all
constexpr std::uint64_t second = 1'000'000;

} // namespace

std::vector<UnitProperty> ports_unit(std::span<const BindRule> rules) {
    const auto program = fmt::format("{}/p2prcd-ports", paths::libexec);
    auto words = json::array({program});
    for (const auto& rule : rules)
        words.push_back(bind_rule_name(rule));
    const auto command = json::array({program, std::move(words), json::array({"no-env-expand"})});
    const auto writable = std::filesystem::path(bind_programs_directory).parent_path().string();
    return {
        {"Description", "s", "BPF programs that keep p2prc processes to their ports"},
        {"Type", "s", "oneshot"},
        {"CollectMode", "s", "inactive-or-failed"},
        {"SyslogIdentifier", "s", "p2prcd"},
        {"TimeoutStartUSec", "t", 30 * second},
        {"UMask", "u", 0077},
        {"NoNewPrivileges", "b", true},
        {"CapabilityBoundingSet", "t", cap_net_admin | cap_bpf},
        {"ProtectSystem", "s", "strict"},
        {"ProtectHome", "s", "yes"},
        {"PrivateTmp", "b", true},
        {"PrivateDevices", "b", true},
        {"PrivateNetwork", "b", true},
        // What ProtectKernelTunables= does, which makes the BPF file system read-only, too: of the same path
        // twice systemd takes the stricter (drop_duplicates).
        {"ReadOnlyPaths", "as", json::array({"-/sys", "-/proc/sys", "-/proc/sysrq-trigger"})},
        {"ReadWritePaths", "as", json::array({"-" + writable})},
        {"ProtectKernelModules", "b", true},
        {"ProtectControlGroups", "b", true},
        {"RestrictSUIDSGID", "b", true},
        {"LockPersonality", "b", true},
        {"SystemCallArchitectures", "as", json::array({"native"})},
        {"SystemCallFilter", "(bas)", json::array({true, json::array({"@system-service", "bpf"})})},
        {"SystemCallErrorNumber", "i", 1}, // EPERM
        {"RestrictAddressFamilies", "(bas)", json::array({true, json::array({"AF_UNIX"})})},
        {"ExecStartEx", "a(sasas)", json::array({command})},
    };
}

std::string ports_unit_name(std::string_view process_name) {
    return process_name.empty() ? "p2prcd-ports.service"
                                : fmt::format("p2prcd-ports-{}.service", process_name);
}

asio::awaitable<Result<void>> BindPrograms::run(std::string unit, std::vector<BindRule> rules) {
    auto properties = ports_unit(rules);
    JobShare share;
    const auto result = co_await systemd_.start_transient(unit, std::move(properties), std::move(share));
    if (!result) co_return std::unexpected(result.error());
    if (*result != "done")
        co_return fail(ErrorCode::Failed, fmt::format("BPF programs could not be pinned ({})", *result),
                       fmt::format("journalctl -u {} has the reason", unit));
    for (const auto& rule : rules)
        pinned_.insert(bind_rule_name(rule));
    co_return Result<void>{};
}

asio::awaitable<Result<void>> BindPrograms::prepare(std::vector<BindRule> rules) {
    rules.push_back(BindRule{});
    auto unit = ports_unit_name({});
    auto done = co_await run(std::move(unit), std::move(rules));
    usable_ = done.has_value();
    co_return done;
}

asio::awaitable<Result<void>> BindPrograms::pin(std::string name, BindRule rule) {
    if (pinned_.contains(bind_rule_name(rule))) co_return Result<void>{};
    if (!usable_) co_return fail(ErrorCode::NotSupported, "this machine attaches no BPF programs");
    auto unit = ports_unit_name(name);
    std::vector<BindRule> rules;
    rules.push_back(rule);
    co_return co_await run(std::move(unit), std::move(rules));
}

} // namespace p2prc::daemon
