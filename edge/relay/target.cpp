#include "edge/relay/target.h"

#include "net/sockaddr.h"

#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace p2prc::edge {

Target Target::of(const net::Endpoint& endpoint) noexcept {
    Target target;
    target.size = net::to_sockaddr(endpoint, target.name);
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
