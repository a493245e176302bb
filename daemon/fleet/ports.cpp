#include "daemon/fleet/ports.h"

#include "core/text.h"
#include "net/file.h"

#include <filesystem>

namespace p2prc::daemon {
namespace {

constexpr std::uint16_t dns_port = 53;

std::string first_line(const std::filesystem::path& file) {
    const auto text = net::read_file(file, 4096);
    return text ? text->substr(0, text->find('\n')) : std::string();
}

} // namespace

Result<void> check_edge_ports(std::span<const net::Listener> listeners,
                              const std::function<std::string(const net::Listener&)>& name_of) {
    for (const std::uint16_t port : {std::uint16_t{443}, std::uint16_t{80}, dns_port})
        for (const auto& listener : listeners) {
            if (listener.port != port) continue;
            // A resolver for this machine alone, as systemd-resolved's, is not in the way.
            if (port == dns_port && listener.address.is_loopback()) continue;
            auto name = name_of(listener);
            if (name.empty()) name = "another program of this machine";
            return fail(
                ErrorCode::Conflict,
                "port " + std::to_string(port) + " is held by " + name +
                    ", and the edge needs it; nothing was changed",
                "stop that program, and keep it from starting at boot (systemctl disable --now UNIT); then "
                "run p2prc init again. A web server can use another port of 127.0.0.1, with a domain "
                "from p2prc map-domain");
        }
    return {};
}

std::string listener_name(const net::Listener& listener) {
    const auto group = listener.cgroup ? net::cgroup_path(listener.cgroup) : std::filesystem::path();
    if (group.empty()) return {};
    const auto unit = group.filename().string();
    const auto pid = first_line(group / "cgroup.procs");
    const auto program = pid.empty() ? std::string() : first_line("/proc/" + pid + "/comm");
    // A socket of systemd's waits for a program.
    if (program.empty() || pid == "1")
        return text::excerpt("systemd, for a socket unit (systemctl list-sockets)");
    return text::excerpt(program + " (pid " + pid + ", " + unit + ")");
}

} // namespace p2prc::daemon
