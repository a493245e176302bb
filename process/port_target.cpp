#include "process/port_target.h"

#include "core/text.h"
#include "process/unit_group.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

const std::array<net::Address, 2> loopbacks{
    net::Address::v4({127, 0, 0, 1}), net::Address::v6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1})};

bool made_by(const net::Listener& listener, const UnitSockets& unit) {
    if (listener.cgroup != 0) return unit.groups.contains(listener.cgroup);
    return unit.uid && listener.uid == *unit.uid;
}

// Those that the kernel may give a connection to `target`: it prefers an exact address to a wildcard
// (compute_score() in net/ipv4/inet_hashtables.c), and of equal ones takes any.
std::vector<const net::Listener*> receivers(std::span<const net::Listener> listeners,
                                            const net::Address& target, std::uint16_t port) {
    std::vector<const net::Listener*> exact;
    std::vector<const net::Listener*> any;
    for (const net::Listener& listener : listeners)
        if (listener.accepts(target, port)) (listener.address == target ? exact : any).push_back(&listener);
    return exact.empty() ? any : exact;
}

std::string elsewhere(std::span<const net::Listener> listeners, std::uint16_t port, const UnitSockets& unit) {
    std::set<std::string> places;
    for (const net::Listener& listener : listeners)
        if (made_by(listener, unit))
            places.insert(listener.port == port ? net::Endpoint{listener.address, port}.text()
                                                : fmt::format("port {}", listener.port));
    if (places.empty()) return {};
    constexpr std::size_t enough = 3;
    std::vector<std::string> named(places.begin(), places.end());
    if (named.size() > enough) named.resize(enough);
    return fmt::format("{}", fmt::join(named, ", "));
}

std::vector<std::string> words_of(const fs::path& file) {
    std::vector<std::string> words;
    std::ifstream stream(file);
    for (std::string word; stream >> word;)
        words.push_back(word);
    return words;
}

std::optional<std::uint32_t> owner_of(const fs::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return std::nullopt;
    return status.st_uid;
}

void add_sockets(const fs::path& group, const fs::path& proc_root, UnitSockets& result) {
    const auto id = net::cgroup_id(group);
    if (!id) return;
    result.groups.insert(*id);
    std::error_code error;
    for (fs::recursive_directory_iterator entry(group, error), end; !error && entry != end;
         entry.increment(error)) {
        std::error_code gone; // between two looks at it: the others still count
        if (!entry->is_directory(gone) || gone) continue;
        if (const auto below = net::cgroup_id(entry->path())) result.groups.insert(*below);
    }
    for (const std::string& pid : words_of(group / "cgroup.procs")) {
        if (result.uid) break;
        result.uid = owner_of(proc_root / pid);
    }
}

} // namespace

UnitSockets unit_sockets(std::string_view name, const fs::path& cgroup_root, const fs::path& proc_root) {
    UnitSockets result;
    for (const auto turn : {Turn::First, Turn::Second})
        add_sockets(unit_group(unit_name(name, turn), cgroup_root), proc_root, result);
    return result;
}

UnitSockets unit_sockets(std::string_view name, Turn turn, const fs::path& cgroup_root,
                         const fs::path& proc_root) {
    UnitSockets result;
    add_sockets(unit_group(unit_name(name, turn), cgroup_root), proc_root, result);
    return result;
}

PortTarget port_target(std::span<const net::Listener> listeners, std::uint16_t port, const UnitSockets& unit,
                       const std::string& name, const Holder& holder) {
    const net::Listener* stranger = nullptr;
    for (const net::Address& loopback : loopbacks) {
        const auto there = receivers(listeners, loopback, port);
        const auto foreign = std::ranges::find_if(
            there, [&](const net::Listener* listener) { return !made_by(*listener, unit); });
        if (foreign != there.end()) {
            if (!stranger) stranger = *foreign;
            continue;
        }
        if (there.empty()) continue;
        const bool told =
            std::ranges::all_of(there, [](const net::Listener* listener) { return listener->cgroup != 0; });
        return {.address = loopback.text(), .groups = told ? unit.groups : std::set<std::uint64_t>()};
    }
    const std::string own = elsewhere(listeners, port, unit);
    const std::string instead = own.empty() ? std::string() : fmt::format("; '{}' listens on {}", name, own);
    if (stranger)
        return {.reason = fmt::format("port {} is held by {}, not by '{}'{}", port, holder(*stranger), name,
                                      instead),
                .held = true};
    return {.reason = fmt::format("nothing listens on 127.0.0.1:{}{}", port, instead)};
}

Result<void> check_port_is_free(std::span<const net::Listener> listeners, std::uint16_t port,
                                const UnitSockets& unit, const Holder& holder) {
    for (const net::Listener& listener : listeners) {
        const bool there = port != 0 && std::ranges::any_of(loopbacks, [&](const net::Address& loopback) {
                               return listener.accepts(loopback, port);
                           });
        if (!there || listener.cgroup == 0 || made_by(listener, unit)) continue;
        return fail(ErrorCode::PortTaken, fmt::format("port {} is held by {}", port, holder(listener)),
                    "stop that, or choose another port; port = 0 has a free one chosen");
    }
    return {};
}

Result<void> check_port_is_free(std::uint16_t port, std::string_view process) {
    if (port == 0)
        return {}; // it has none: neither the kernel's list nor its control groups are read for that
    const auto listeners = net::tcp_listeners();
    if (!listeners) return {};
    return check_port_is_free(*listeners, port, unit_sockets(process),
                              [](const net::Listener& listener) { return holder_text(listener); });
}

std::string holder_text(const net::Listener& listener, const fs::path& cgroup_root,
                        const fs::path& proc_root) {
    const fs::path group = listener.cgroup == 0 ? fs::path() : net::cgroup_path(listener.cgroup, cgroup_root);
    std::set<std::string> programs;
    if (!group.empty())
        for (const std::string& pid : words_of(group / "cgroup.procs")) {
            if (owner_of(proc_root / pid) != listener.uid) continue;
            std::ifstream stream(proc_root / pid / "comm");
            std::string program;
            if (std::getline(stream, program)) programs.insert(program);
        }
    // A program names itself (PR_SET_NAME).
    const std::string program =
        programs.size() == 1 ? text::excerpt(*programs.begin(), 32) : std::string("another program");
    const std::string unit = group.empty() ? "" : ", " + text::excerpt(group.filename().string(), 100);
    return fmt::format("{} (uid {}{})", program, listener.uid, unit);
}

} // namespace p2prc::process
