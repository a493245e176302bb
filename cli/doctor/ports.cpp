// Who holds the public ports of the root node.
#include "cli/doctor/check.h"
#include "net/listeners.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace p2prc::cli {
namespace {

namespace fs = std::filesystem;

using Listeners = std::vector<net::Listener>;

// As /proc/PID/fd has them. What listens for this machine alone, as systemd-resolved does on 53, is in
// nobody's way and serves nobody outside.
std::set<std::string> listening_sockets(const Listeners& listeners, unsigned port) {
    std::set<std::string> sockets;
    for (const auto& listener : listeners)
        if (listener.port == port && !listener.address.is_loopback())
            sockets.insert(fmt::format("socket:[{}]", listener.inode));
    return sockets;
}

// Names of the processes that have one of the sockets open. Empty without the rights to look.
std::set<std::string> holders(const std::set<std::string>& sockets) {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc", error)) {
        const auto pid = process.path().filename().string();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        std::error_code unreadable;
        for (const auto& descriptor : fs::directory_iterator(process.path() / "fd", unreadable)) {
            const auto target = fs::read_symlink(descriptor.path(), unreadable).string();
            if (!sockets.contains(target)) continue;
            std::ifstream comm(process.path() / "comm");
            std::string name;
            std::getline(comm, name);
            names.insert(name);
            break;
        }
    }
    return names;
}

Finding check_port(const Listeners& listeners, unsigned port) {
    Finding finding{CheckState::Ok, fmt::format("port {}", port), "", ""};
    const auto sockets = listening_sockets(listeners, port);
    if (sockets.empty()) {
        finding.state = CheckState::Fail;
        finding.detail = "nothing listens";
        finding.fix =
            port == 53 ? "systemctl status p2prc-edge" : "systemctl start p2prc-edge.socket p2prc-edge";
        return finding;
    }
    const auto names = holders(sockets);
    // systemd itself holds the socket unit's descriptors besides the edge.
    bool ours = names.empty();
    for (const auto& name : names)
        ours = ours || name == "p2prc-edge" || name == "systemd";
    finding.detail = names.empty() ? "held (run as root to see by whom)"
                                   : fmt::format("held by {}", fmt::join(names, ", "));
    if (!ours) {
        finding.state = CheckState::Fail;
        finding.fix =
            fmt::format("stop {}, or move it to another port; the edge needs {}", *names.begin(), port);
    }
    return finding;
}

} // namespace

Findings check_ports(const Facts& facts) {
    if (facts.empty()) return {unknown("ports")};
    if (!is_public_root(facts))
        return {{CheckState::Ok, "ports", "no public ones needed: this node is not the root of a fleet", ""}};
    const auto listeners = net::tcp_listeners();
    if (!listeners) return {{CheckState::Warn, "ports", listeners.error().message, "run it as root"}};
    return {check_port(*listeners, 443), check_port(*listeners, 80), check_port(*listeners, 53)};
}

} // namespace p2prc::cli
