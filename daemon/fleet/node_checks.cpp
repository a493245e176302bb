#include "daemon/fleet/node_checks.h"

#include "daemon/fleet/node_info.h"
#include "net/cgroups.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;
// The store acknowledges nothing that it cannot write: below this every change is about to be refused.
constexpr std::uint64_t too_little_room = 64 * mebibyte;
constexpr std::uint64_t little_room = 2048 * mebibyte;
// Certificates are judged by the clock, and times of the fleet are compared with each other.
constexpr auto clock_tolerance = 60s;

std::string_view state_name(CheckState state) {
    switch (state) {
    case CheckState::Ok:
        return "ok";
    case CheckState::Warn:
        return "warn";
    case CheckState::Fail:
        return "fail";
    }
    return "fail";
}

std::string duration_text(std::chrono::milliseconds time) {
    const auto seconds = std::abs(std::chrono::duration_cast<std::chrono::seconds>(time).count());
    if (seconds < 120) return fmt::format("{} s", seconds);
    if (seconds < 2 * 3600) return fmt::format("{} min", seconds / 60);
    if (seconds < 48 * 3600) return fmt::format("{} h", seconds / 3600);
    return fmt::format("{} days", seconds / 86400);
}

// The sockets of p2prc-edge.socket are made by PID 1: their control group is the root's, or init.scope.
bool of_the_edge(const std::string& unit) {
    return unit.empty() || unit == "init.scope" || unit == "p2prc-edge.service" ||
           unit == "p2prc-edge.socket";
}

std::string unit_of_group(std::uint64_t cgroup) {
    return cgroup == 0 ? std::string() : net::cgroup_path(cgroup).filename().string();
}

} // namespace

NodeCheck check_disk(std::uint64_t free_bytes, std::uint64_t all_bytes) {
    NodeCheck check{CheckState::Ok, "disk", ""};
    const double share =
        all_bytes == 0 ? 1 : static_cast<double>(free_bytes) / static_cast<double>(all_bytes);
    if (free_bytes < too_little_room)
        check.state = CheckState::Fail;
    else if (share < 0.05 && free_bytes < little_room)
        check.state = CheckState::Warn;
    if (check.state == CheckState::Ok) return check;
    const auto room = free_bytes / mebibyte;
    check.detail = fmt::format("{} MiB are free for /var/lib/p2prc", room < 64 ? room : room / 64 * 64);
    return check;
}

NodeCheck check_clock(std::chrono::milliseconds ahead) {
    NodeCheck check{CheckState::Ok, "clock", ""};
    if (std::chrono::abs(ahead) < clock_tolerance) return check;
    check.state = CheckState::Fail;
    check.detail = fmt::format("the clock is {} {} the root's", duration_text(ahead),
                               ahead.count() > 0 ? "ahead of" : "behind");
    return check;
}

NodeCheck check_limits(const std::vector<std::string>& limited, bool memory) {
    NodeCheck check{CheckState::Ok, "memory limits", ""};
    if (memory || limited.empty()) return check;
    check.state = CheckState::Warn; // nothing is down, and many machines stay like that
    check.detail = fmt::format("limits.memory of {} is not enforced: this machine has no memory controller",
                               fmt::join(limited, ", "));
    return check;
}

NodeCheck check_port(std::uint16_t port, const std::vector<net::Listener>& listeners,
                     const std::function<std::string(std::uint64_t cgroup)>& unit_of) {
    NodeCheck check{CheckState::Ok, fmt::format("port {}", port), ""};
    bool ours = false;
    std::string other;
    for (const auto& listener : listeners) {
        if (listener.port != port || listener.address.is_loopback()) continue;
        const auto unit = unit_of(listener.cgroup);
        if (of_the_edge(unit))
            ours = true;
        else
            other = unit;
    }
    if (ours || other.empty()) return check;
    check.state = CheckState::Fail;
    check.detail = fmt::format("it is held by {}, and the edge needs it", other);
    return check;
}

NodeCheck check_public_address(const std::vector<std::string>& public_ips,
                               const std::vector<net::Address>& addresses) {
    NodeCheck check{CheckState::Ok, "public address", ""};
    const auto is_here = [&](const std::string& text) {
        const auto address = net::Address::parse(text);
        return address && std::ranges::find(addresses, *address) != addresses.end();
    };
    if (public_ips.empty() || std::ranges::any_of(public_ips, is_here)) return check;
    check.state = CheckState::Warn;
    check.detail =
        fmt::format("no interface of this machine has {}: something before it must pass ports 443, 80 "
                    "and 53 (UDP and TCP) on",
                    fmt::join(public_ips, " or "));
    return check;
}

std::vector<NodeCheck> check_node(const CheckSubjects& subjects) {
    std::vector<NodeCheck> checks;
    struct statvfs disk{};
    if (!subjects.state_directory.empty() && ::statvfs(subjects.state_directory.c_str(), &disk) == 0)
        checks.push_back(check_disk(std::uint64_t{disk.f_bavail} * disk.f_frsize,
                                    std::uint64_t{disk.f_blocks} * disk.f_frsize));
    if (subjects.clock_ahead) checks.push_back(check_clock(*subjects.clock_ahead));
    if (!subjects.settings_error.empty())
        checks.push_back(
            {CheckState::Warn, "settings", "those of before are in force: " + subjects.settings_error});
    if (!subjects.limited.empty()) checks.push_back(check_limits(subjects.limited, net::limits_memory()));
    if (!subjects.acme_client.empty() && ::access(subjects.acme_client.c_str(), X_OK) != 0)
        checks.push_back(
            {CheckState::Fail, "ACME client",
             fmt::format("{} is not installed, and the fleet's certificates come from an ACME server",
                         subjects.acme_client.string())});
    for (const auto role : subjects.roles_off)
        checks.push_back({CheckState::Fail, role_subject(role), role_is_off(role)});
    if (subjects.public_side) {
        if (const auto listeners = net::tcp_listeners())
            for (const std::uint16_t port : {443, 80, 53})
                checks.push_back(check_port(port, *listeners, unit_of_group));
        checks.push_back(check_public_address(subjects.public_ips, own_addresses()));
    }
    return checks;
}

nlohmann::json to_json(const std::vector<NodeCheck>& checks) {
    auto list = nlohmann::json::array();
    for (const auto& check : checks)
        list.push_back(
            {{"subject", check.subject}, {"state", state_name(check.state)}, {"detail", check.detail}});
    return list;
}

} // namespace p2prc::daemon
