// Who holds the public ports of the root node.
#include "cli/doctor/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace p2prc::cli {
namespace {

namespace fs = std::filesystem;

// An address as /proc/net/tcp shows it, in the kernel's byte order: 127.0.0.0/8 and ::1. What listens there
// alone, as systemd-resolved does on 53, is in nobody's way and serves nobody outside.
bool is_loopback(std::string_view hexadecimal) {
    if (hexadecimal.size() == 8) return hexadecimal.ends_with("7F");
    return hexadecimal == "00000000000000000000000001000000";
}

// Socket inodes that listen on `port`, from /proc/net/tcp (proc(5)): the second column is "address:port" in
// hexadecimal, the fourth the state (0A is LISTEN), the tenth the inode.
std::set<std::string> listening_inodes(unsigned port) {
    std::set<std::string> inodes;
    for (const auto* file : {"/proc/net/tcp", "/proc/net/tcp6"}) {
        std::ifstream table(file);
        std::string line;
        while (std::getline(table, line)) {
            std::istringstream words(line);
            std::array<std::string, 10> columns;
            for (auto& column : columns)
                words >> column;
            const auto colon = columns[1].rfind(':');
            if (columns[3] != "0A" || colon == std::string::npos) continue;
            if (is_loopback(std::string_view(columns[1]).substr(0, colon))) continue;
            unsigned number = 0;
            std::from_chars(columns[1].data() + colon + 1, columns[1].data() + columns[1].size(), number, 16);
            if (number == port) inodes.insert(columns[9]);
        }
    }
    return inodes;
}

// Names of the processes that have one of the sockets open. Empty without the rights to look.
std::set<std::string> holders(const std::set<std::string>& inodes) {
    std::set<std::string> names;
    std::error_code error;
    for (const auto& process : fs::directory_iterator("/proc", error)) {
        const auto pid = process.path().filename().string();
        if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
        std::error_code unreadable;
        for (const auto& descriptor : fs::directory_iterator(process.path() / "fd", unreadable)) {
            const auto target = fs::read_symlink(descriptor.path(), unreadable).string();
            if (!target.starts_with("socket:[") || !inodes.contains(target.substr(8, target.size() - 9)))
                continue;
            std::ifstream comm(process.path() / "comm");
            std::string name;
            std::getline(comm, name);
            names.insert(name);
            break;
        }
    }
    return names;
}

Finding check_port(unsigned port) {
    Finding finding{CheckState::Ok, fmt::format("port {}", port), "", ""};
    const auto inodes = listening_inodes(port);
    if (inodes.empty()) {
        finding.state = CheckState::Fail;
        finding.detail = "nothing listens";
        finding.fix =
            port == 53 ? "systemctl status p2prc-edge" : "systemctl start p2prc-edge.socket p2prc-edge";
        return finding;
    }
    const auto names = holders(inodes);
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
        return {{CheckState::Ok, "ports", "none needed: this node is not the root of a fleet", ""}};
    return {check_port(443), check_port(80), check_port(53)};
}

} // namespace p2prc::cli
