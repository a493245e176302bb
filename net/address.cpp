#include "net/address.h"

#include "net/sockaddr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace p2prc::net {
namespace {

constexpr std::array<std::uint8_t, 12> v4_mapped{0, 0, 0, 0, 0,    0,
                                                 0, 0, 0, 0, 0xff, 0xff}; // RFC 4291 2.5.5.2

struct Prefix {
    const char* network;
    unsigned bits;
};

// What IANA's special-purpose registries say cannot be reached from everywhere. (RFC 6890 and its
// successors.)
constexpr Prefix not_global[] = {
    {"0.0.0.0", 8},     {"10.0.0.0", 8},   {"100.64.0.0", 10},  {"127.0.0.0", 8}, {"169.254.0.0", 16},
    {"172.16.0.0", 12}, {"192.0.0.0", 24}, {"192.168.0.0", 16}, {"224.0.0.0", 4}, {"240.0.0.0", 4},
    {"::", 127},        {"fc00::", 7},     {"fe80::", 10},      {"ff00::", 8}};

template <class Name>
Endpoint endpoint_of(int socket, Name get_name) noexcept {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    if (get_name(socket, reinterpret_cast<sockaddr*>(&name), &size) != 0) return {};
    return Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&name), size);
}

} // namespace

Address Address::v4(const std::array<std::uint8_t, 4>& bytes) noexcept {
    Address address;
    std::ranges::copy(bytes, address.bytes_.begin());
    return address;
}

Address Address::v6(const std::array<std::uint8_t, 16>& bytes) noexcept {
    if (std::equal(v4_mapped.begin(), v4_mapped.end(), bytes.begin()))
        return v4({bytes[12], bytes[13], bytes[14], bytes[15]});
    Address address;
    address.v4_ = false;
    address.bytes_ = bytes;
    return address;
}

Result<Address> Address::parse(std::string_view text) {
    const std::string copy(text);
    std::array<std::uint8_t, 16> bytes{};
    if (copy.find('\0') == std::string::npos) {
        if (inet_pton(AF_INET, copy.c_str(), bytes.data()) == 1)
            return v4({bytes[0], bytes[1], bytes[2], bytes[3]});
        if (inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return v6(bytes);
    }
    return fail(ErrorCode::InvalidSpec, "'" + copy + "' is not an IP address");
}

bool Address::is_loopback() const noexcept {
    if (v4_) return bytes_[0] == 127;
    std::array<std::uint8_t, 16> one{};
    one[15] = 1;
    return bytes_ == one;
}

bool Address::is_link_local() const noexcept {
    return v4_ ? bytes_[0] == 169 && bytes_[1] == 254 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool Address::is_global() const noexcept {
    return std::ranges::none_of(not_global, [&](const Prefix& prefix) {
        const auto network_address = parse(prefix.network);
        return network_address && network_address->is_v4() == v4_ && network(prefix.bits) == *network_address;
    });
}

std::string Address::text() const {
    char buffer[INET6_ADDRSTRLEN] = {};
    inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), buffer, sizeof buffer);
    return buffer;
}

Address Address::network(unsigned bits) const noexcept {
    Address result = *this;
    for (unsigned i = 0; i < result.bytes_.size(); ++i) {
        const unsigned kept = bits > i * 8 ? std::min(8U, bits - i * 8) : 0;
        result.bytes_[i] = static_cast<std::uint8_t>(result.bytes_[i] & (0xff00U >> kept));
    }
    return result;
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorCode::InvalidSpec, "'" + std::string(text) + "' is not ADDRESS:PORT",
                    "write 203.0.113.1:443 or [2001:db8::1]:443");
    };
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad();
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = Address::parse(host);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (!address || error != std::errc() || end != digits.data() + digits.size() || digits.empty())
        return bad();
    if (bracketed != (host.find(':') != std::string_view::npos)) return bad();
    return Endpoint{*address, port};
}

Endpoint Endpoint::from_sockaddr(const sockaddr* name, std::size_t size) noexcept {
    if (name->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
        sockaddr_in in{};
        std::memcpy(&in, name, sizeof in);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &in.sin_addr, bytes.size());
        return {Address::v4(bytes), ntohs(in.sin_port)};
    }
    if (name->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
        sockaddr_in6 in{};
        std::memcpy(&in, name, sizeof in);
        std::array<std::uint8_t, 16> bytes{};
        std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
        return {Address::v6(bytes), ntohs(in.sin6_port)};
    }
    return {};
}

std::string Endpoint::text() const {
    const auto host = address.text();
    return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) noexcept {
    out = {};
    if (endpoint.address.is_v4()) {
        auto& name = reinterpret_cast<sockaddr_in&>(out);
        name.sin_family = AF_INET;
        name.sin_port = htons(endpoint.port);
        std::memcpy(&name.sin_addr, endpoint.address.bytes().data(), 4);
        return sizeof name;
    }
    auto& name = reinterpret_cast<sockaddr_in6&>(out);
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(endpoint.port);
    std::memcpy(&name.sin6_addr, endpoint.address.bytes().data(), 16);
    return sizeof name;
}

Endpoint local_endpoint(int socket) noexcept {
    return endpoint_of(socket, ::getsockname);
}

Endpoint peer_endpoint(int socket) noexcept {
    return endpoint_of(socket, ::getpeername);
}

} // namespace p2prc::net
