#include "process/notifiers.h"

#include "core/spec_values.h"
#include "net/spawn.h"
#include "process/deployer.h"
#include "process/sealed_input.h"
#include "process/unit_names.h"

#include <boost/asio/co_spawn.hpp>
#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr std::uint64_t usec_per_sec = 1'000'000;
constexpr std::uint64_t time_limit = 60 * usec_per_sec;
constexpr std::uint64_t most_memory = std::uint64_t{256} << 20U;
constexpr std::uint64_t most_tasks = 64;
// An administrator has a handful of them; each costs a unit.
constexpr std::size_t most_programs = 16;

} // namespace

std::vector<UnitProperty> notifier_unit(std::string_view process, const fs::path& program) {
    // One that fails has been run, too: its unit stays like that of another.
    const auto command = json::array({program.string(), json::array({program.string()}),
                                      json::array({"ignore-failure", "no-env-expand"})});
    const auto families = json::array({"AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"});
    std::vector<UnitProperty> unit{
        {"Description", "s", fmt::format("Notice about p2prc process {}", process)},
        {"Slice", "s", std::string(process_slice)},
        // Not "oneshot": a machine has not finished booting while one of systemd's jobs runs.
        {"Type", "s", "exec"},
        {"RemainAfterExit", "b", true}, // until it is written down that it was started
        {"SyslogIdentifier", "s", "p2prcd-notify"},
        {"RuntimeMaxUSec", "t", time_limit},
        {"TimeoutStopUSec", "t", 5 * usec_per_sec},
        {"KillMode", "s", "control-group"},
        {"NotifyAccess", "s", "none"},
        {"MemoryMax", "t", most_memory},
        {"TasksMax", "t", most_tasks},
        {"DynamicUser", "b", true},
        {"CapabilityBoundingSet", "t", 0},
        {"ProtectSystem", "s", "strict"},
        {"ProtectHome", "s", "yes"},
        {"ProtectProc", "s", "invisible"},
        {"ReadOnlyPaths", "as", json::array({"-/run"})},
        {"RestrictNamespaces", "t", std::uint64_t{CLONE_NEWCGROUP}}, // as processes; see transient_unit.cpp
        {"RestrictAddressFamilies", "(bas)", json::array({true, families})},
        {"SystemCallArchitectures", "as", json::array({"native"})},
        {"SystemCallFilter", "(bas)", json::array({true, json::array({"@system-service"})})},
        {"SystemCallErrorNumber", "i", 1}, // EPERM
    };
    for (const auto* flag :
         {"NoNewPrivileges", "PrivateTmp", "PrivateDevices", "PrivateIPC", "ProtectKernelTunables",
          "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
          "ProtectHostname", "LockPersonality", "RestrictRealtime", "RestrictSUIDSGID"})
        unit.push_back({flag, "b", true});
    unit.push_back({"ExecStartEx", "a(sasas)", json::array({command})});
    return unit;
}

std::string notifier_unit_name(std::string_view process, std::string_view program, std::string_view mark) {
    return fmt::format("p2prcd-notify-{}-{}-{}.service", process, program, mark);
}

Notifiers::Notifiers(asio::any_io_executor loop, Systemd& systemd, const NotifierOptions& options, Warn warn)
    : loop_(std::move(loop))
    , systemd_(systemd)
    , options_(options)
    , warn_(std::move(warn)) {}

std::vector<std::string> Notifiers::programs(std::string_view process) const {
    std::vector<std::string> names;
    std::error_code error;
    for (fs::directory_iterator at(options_.directory, error), end; !error && at != end;
         at.increment(error)) {
        const auto name = at->path().filename().string();
        // As run-parts(8) does: what an editor or a package leaves behind ("mail.dpkg-old", "mail~") is none.
        if (!check_deployer(name).empty()) continue;
        if (const auto checked = check_program(options_.directory, name, options_.owner); !checked) {
            if (warn_)
                warn_(fmt::format("not run for a notice: {}; {}", checked.error().message,
                                  checked.error().hint),
                      process);
            continue;
        }
        names.push_back(name);
    }
    std::ranges::sort(names);
    if (names.size() > most_programs) names.resize(most_programs);
    return names;
}

Notifiers::~Notifiers() {
    for (const auto& timer : releases_)
        timer->cancel();
}

asio::awaitable<Result<void>> Notifiers::tell(std::string process, std::string mark, json notice) {
    const auto text = notice.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
    const auto names = programs(process);
    for (const auto& name : names) {
        auto unit = notifier_unit_name(process, name, mark);
        const auto there = co_await systemd_.view_of(unit);
        if (!there) co_return std::unexpected(there.error());
        if (there->active_state != "inactive") continue;
        auto input = sealed_input("p2prc-notice", text);
        Result<std::string> started = std::unexpected(Error{});
        if (input) {
            TransientUnit content{notifier_unit(process, options_.directory / name), {}, std::move(*input)};
            JobShare share{JobShare::Kind::Notices};
            started =
                co_await systemd_.start_transient(std::move(unit), std::move(content), std::move(share));
        } else {
            started = std::unexpected(input.error());
        }
        if (started && *started == "done") continue;
        if (!started && started.error().code == ErrorCode::Unreachable)
            co_return std::unexpected(started.error());
        if (warn_)
            warn_(
                fmt::format("{} could not be run: {}", (options_.directory / name).string(),
                            started ? "systemd's job ended as '" + *started + "'" : started.error().message),
                process);
    }
    co_return Result<void>{};
}

void Notifiers::release(std::string process, std::string mark) {
    const auto timer = std::make_shared<asio::steady_timer>(loop_, options_.release_after);
    releases_.insert(timer);
    timer->async_wait([this, timer, process = std::move(process),
                       mark = std::move(mark)](boost::system::error_code error) mutable {
        if (error) return; // this is gone
        releases_.erase(timer);
        asio::co_spawn(loop_, let_go(std::move(process), std::move(mark)),
                       net::ReportFailure("letting go of a notifier's unit"));
    });
}

asio::awaitable<void> Notifiers::let_go(std::string process, std::string mark) {
    auto& systemd = systemd_; // which outlives this
    const auto names = programs(process);
    const JobShare share{JobShare::Kind::Notices};
    for (const auto& name : names) {
        const auto unit = notifier_unit_name(process, name, mark);
        (void)co_await systemd.stop(unit, share);
        (void)co_await systemd.reset_failed(unit);
    }
}

} // namespace p2prc::process
