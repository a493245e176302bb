#include "edge/relay/target.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace p2prc::edge {

Target Target::of(const net::Endpoint& endpoint) noexcept {
    Target target;
    const auto& bytes = endpoint.address.bytes();
    if (endpoint.address.is_v4()) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(endpoint.port);
        std::memcpy(&name.sin_addr, bytes.data(), sizeof name.sin_addr);
        std::memcpy(&target.name, &name, sizeof name);
        target.size = sizeof name;
    } else {
        sockaddr_in6 name{};
        name.sin6_family = AF_INET6;
        name.sin6_port = htons(endpoint.port);
        std::memcpy(&name.sin6_addr, bytes.data(), sizeof name.sin6_addr);
        std::memcpy(&target.name, &name, sizeof name);
        target.size = sizeof name;
    }
    return target;
}

Result<Target> Target::unix_socket(const std::string& path) {
    sockaddr_un name{};
    if (path.empty() || path.size() >= sizeof name.sun_path)
        return fail(ErrorCode::InvalidSpec, "'" + path + "' cannot be the path of a Unix socket",
                    "choose a path of 1 to 107 bytes");
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
    Target target;
    std::memcpy(&target.name, &name, sizeof name);
    target.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return target;
}

} // namespace p2prc::edge
