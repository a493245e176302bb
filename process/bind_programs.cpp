#include "process/bind_programs.h"

#include "core/paths.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <system_error>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t cap_net_admin = std::uint64_t{1} << 12; // for programs of networking,
constexpr std::uint64_t cap_bpf = std::uint64_t{1} << 39;       // and for bpf(2) at all
constexpr std::uint64_t second = 1'000'000;
constexpr std::size_t most_unpinned = 256; // in one run: its command is one line of a unit

} // namespace

std::vector<UnitProperty> ports_unit(std::vector<std::string> words) {
    const auto program = fmt::format("{}/p2prcd-ports", paths::libexec);
    words.insert(words.begin(), program);
    const auto command = json::array({program, std::move(words), json::array({"no-env-expand"})});
    const auto writable = fs::path(bind_programs_directory).parent_path().string();
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

asio::awaitable<Result<void>> BindPrograms::run(std::string unit, std::vector<std::string> words) {
    auto properties = ports_unit(std::move(words));
    JobShare share;
    const auto result = co_await systemd_.start_transient(unit, std::move(properties), std::move(share));
    if (!result) co_return std::unexpected(result.error());
    if (*result != "done")
        co_return fail(ErrorCode::Failed,
                       fmt::format("BPF programs could not be pinned or removed ({})", *result),
                       fmt::format("journalctl -u {} has the reason", unit));
    co_return Result<void>{};
}

asio::awaitable<Result<void>> BindPrograms::run_pin(std::string unit, std::vector<BindRule> rules) {
    std::vector<std::string> words;
    for (const auto& rule : rules)
        words.push_back(bind_rule_name(rule));
    auto done = co_await run(std::move(unit), words);
    if (done) pinned_.insert(words.begin(), words.end());
    co_return done;
}

asio::awaitable<Result<void>> BindPrograms::prepare(std::vector<BindRule> rules) {
    rules.push_back(BindRule{});
    auto unit = ports_unit_name({});
    auto done = co_await run_pin(std::move(unit), std::move(rules));
    usable_ = done.has_value();
    co_return done;
}

asio::awaitable<Result<void>> BindPrograms::pin(std::string name, BindRule rule) {
    const auto rule_name = bind_rule_name(rule);
    while (unpinning_.contains(rule_name)) {
        const auto unpinned = unpinned_;
        boost::system::error_code ignored;
        co_await unpinned->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    if (pinned_.contains(rule_name)) co_return Result<void>{};
    if (!usable_) co_return fail(ErrorCode::NotSupported, "this machine attaches no BPF programs");
    auto unit = ports_unit_name(name);
    std::vector<BindRule> rules;
    rules.push_back(rule);
    co_return co_await run_pin(std::move(unit), std::move(rules));
}

std::set<std::string> BindPrograms::pinned() const {
    std::set<std::string> rules;
    if (!usable_ || !removable_ || !unpinning_.empty()) return rules;
    std::error_code error;
    for (fs::directory_iterator entry(directory_, error), end; !error && entry != end;
         entry.increment(error)) {
        const auto file = entry->path().filename().string();
        const auto rule = rule_of_bind_program(file);
        if (bind_rule_from_name(rule)) rules.emplace(rule);
    }
    return rules;
}

// No coroutine: the next to ask for one of them must not find it pinned.
asio::awaitable<Result<void>> BindPrograms::unpin(const std::set<std::string>& rules) {
    std::vector<std::string> words{std::string(bind_unpin_option)};
    for (const auto& rule : rules) {
        if (words.size() > most_unpinned) break;
        words.push_back(rule);
        unpinning_.insert(rule);
        pinned_.erase(rule);
    }
    unpinned_ = std::make_shared<asio::steady_timer>(executor_, asio::steady_timer::time_point::max());
    return run_unpin(std::move(words));
}

asio::awaitable<Result<void>> BindPrograms::run_unpin(std::vector<std::string> words) {
    auto done = co_await run(std::string(unpin_unit_name), std::move(words));
    removable_ = done || done.error().code != ErrorCode::Failed;
    unpinning_.clear();
    unpinned_->cancel();
    co_return done;
}

} // namespace p2prc::process
