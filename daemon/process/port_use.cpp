#include "daemon/process/port_use.h"

#include "core/text.h"
#include "daemon/process/unit_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

const net::Address& loopback4() {
    static const auto address = net::Address::parse("127.0.0.1").value();
    return address;
}

const net::Address& loopback6() {
    static const auto address = net::Address::parse("::1").value();
    return address;
}

bool at_loopback(const net::Listener& listener, std::uint16_t port) {
    return listener.accepts(loopback4(), port) || listener.accepts(loopback6(), port);
}

// An unknown control group may be anybody's.
bool is_own(const net::Listener& listener, const std::set<std::uint64_t>& own) {
    return listener.cgroup == 0 || own.contains(listener.cgroup);
}

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

} // namespace

std::set<std::uint64_t> control_groups(std::string_view process, const fs::path& root) {
    std::set<std::uint64_t> ids;
    // With cgroup v1 beside it, systemd mounts the unified hierarchy one level down.
    for (const char* base : {"", "unified"}) {
        const fs::path group = root / base / process_slice / unit_name(process);
        const auto id = net::cgroup_id(group);
        if (!id) continue;
        ids.insert(*id);
        std::error_code error;
        for (fs::recursive_directory_iterator entry(group, error), end; !error && entry != end;
             entry.increment(error)) {
            std::error_code gone; // between two looks at it
            if (!entry->is_directory(gone) || gone) continue;
            if (const auto below = net::cgroup_id(entry->path())) ids.insert(*below);
        }
        break;
    }
    return ids;
}

std::string holder_name(const net::Listener& listener) {
    const auto group = net::cgroup_path(listener.cgroup);
    if (listener.cgroup == 0 || group.empty()) return fmt::format("another program (uid {})", listener.uid);
    const auto unit = text::excerpt(group.filename().string(), 80);
    // The first process of the group: the one that listens, or its parent.
    const auto pid = first_line(group / "cgroup.procs");
    const auto program = pid.empty() ? "" : first_line(fs::path("/proc") / pid / "comm");
    return program.empty() ? unit : fmt::format("{} ({})", text::excerpt(program, 20), unit);
}

std::optional<std::string> lacks_at_port(std::span<const net::Listener> listeners, std::uint16_t port,
                                         const std::set<std::uint64_t>& own, std::string_view process) {
    const net::Listener* other = nullptr;   // at its port, and not its own
    const net::Listener* outside = nullptr; // its own, at another address
    const net::Listener* beside = nullptr;  // its own, at another port
    for (const auto& listener : listeners) {
        if (listener.port == port && at_loopback(listener, port)) {
            if (is_own(listener, own)) return {};
            other = &listener;
        } else if (own.contains(listener.cgroup)) {
            (listener.port == port ? outside : beside) = &listener;
        }
    }
    if (other) return fmt::format("port {} is held by {}, not by '{}'", port, holder_name(*other), process);
    if (outside)
        return fmt::format("it listens at port {} of {}, not of 127.0.0.1", port, outside->address.text());
    if (beside) return fmt::format("it listens at port {}, not at its port {}", beside->port, port);
    return fmt::format("it does not listen at its port {}", port);
}

const net::Listener* other_at_port(std::span<const net::Listener> listeners, std::uint16_t port,
                                   const std::set<std::uint64_t>& own) {
    const auto other = std::ranges::find_if(listeners, [&](const net::Listener& listener) {
        return at_loopback(listener, port) && !is_own(listener, own);
    });
    return other == listeners.end() ? nullptr : &*other;
}

Result<void> check_port_is_free(std::uint16_t port, std::string_view process) {
    // What cannot be looked at must not keep a process from starting.
    const auto listeners = net::tcp_listeners();
    if (!listeners || port == 0) return {};
    const auto* other = other_at_port(*listeners, port, control_groups(process));
    if (!other) return {};
    return fail(ErrorCode::PortTaken, fmt::format("port {} is held by {}", port, holder_name(*other)),
                "stop that, or choose another port; port = 0 has a free one chosen");
}

} // namespace p2prc::daemon
