#include "daemon/fleet/node_info.h"

#include "core/chosen_ports.h"
#include "core/encoding.h"
#include "net/interfaces.h"
#include "net/listeners.h"

#include <nlohmann/json.hpp>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <set>
#include <string>

namespace p2prc::daemon {
namespace {

using Json = nlohmann::json;

constexpr std::uint16_t ssh = 22;

Json best_address(const std::vector<net::Address>& addresses, bool v4) {
    Json best;
    for (const auto& address : addresses) {
        if (address.is_v4() != v4) continue;
        if (address.is_global()) return address.text();
        if (best.is_null()) best = address.text();
    }
    return best;
}

// PRETTY_NAME of os-release(5).
Json operating_system() {
    std::ifstream file("/etc/os-release");
    constexpr std::string_view key = "PRETTY_NAME=";
    for (std::string line; std::getline(file, line);) {
        if (!line.starts_with(key)) continue;
        auto value = line.substr(key.size());
        std::erase(value, '"');
        return value;
    }
    return nullptr;
}

} // namespace

std::vector<net::Address> own_addresses() {
    std::vector<net::Address> addresses;
    for (const auto& entry : net::interface_addresses())
        if (!entry.loopback && !entry.address.is_link_local()) addresses.push_back(entry.address);
    return addresses;
}

// Lines of: address, index, prefix length, scope, flags (all hexadecimal), name; net/ipv6/addrconf.c,
// if6_seq_show.
std::vector<net::Address> temporary_addresses() {
    constexpr unsigned temporary = 0x01; // IFA_F_TEMPORARY, the IPv6 meaning of IFA_F_SECONDARY
    std::ifstream file("/proc/net/if_inet6");
    std::vector<net::Address> addresses;
    std::string address, index, length, scope, flags, name;
    while (file >> address >> index >> length >> scope >> flags >> name) {
        const auto bytes = from_hex(address);
        unsigned value = 0;
        const auto [end, error] = std::from_chars(flags.data(), flags.data() + flags.size(), value, 16);
        if (!bytes || bytes->size() != 16 || error != std::errc() || !(value & temporary)) continue;
        std::array<std::uint8_t, 16> raw{};
        std::ranges::copy(*bytes, raw.begin());
        addresses.push_back(net::Address::v6(raw));
    }
    return addresses;
}

bool listens_on(std::uint16_t port) {
    const auto listeners = net::tcp_listeners();
    return listeners && std::ranges::any_of(*listeners, [&](const net::Listener& listener) {
               return listener.port == port && !listener.address.is_loopback();
           });
}

// Those that a registry could choose for a process, whoever has them: a process
// that has its port already is known to the registry.
Json ports_in_use() {
    constexpr std::size_t most = 256; // each change of the report goes to every node
    std::set<std::uint16_t> ports;
    for (const auto& listener : net::tcp_listeners().value_or(std::vector<net::Listener>()))
        if (listener.port >= first_chosen_port && listener.port <= last_chosen_port && ports.size() < most)
            ports.insert(listener.port);
    return ports;
}

Json measure_node() {
    Json info{{"version", P2PRC_VERSION}, {"arch", nullptr}, {"memory_bytes", nullptr}, {"cpus", nullptr}};
    utsname name{};
    if (::uname(&name) == 0) info["arch"] = name.machine;
    if (const auto cpus = ::sysconf(_SC_NPROCESSORS_ONLN); cpus > 0)
        info["cpus"] = static_cast<std::uint64_t>(cpus);
    struct sysinfo memory{};
    if (::sysinfo(&memory) == 0)
        info["memory_bytes"] = static_cast<std::uint64_t>(memory.totalram) * memory.mem_unit;
    info["os"] = operating_system();
    const auto addresses = own_addresses();
    info["ipv4"] = best_address(addresses, true);
    info["ipv6"] = best_address(addresses, false);
    info["ports_in_use"] = ports_in_use();
    info["ssh_port"] = listens_on(ssh) ? Json(std::uint64_t{ssh}) : Json(nullptr);
    return info;
}

} // namespace p2prc::daemon
