#include "core/ip_text.h"

#include <arpa/inet.h>

namespace p2prc {

std::optional<IpFamily> ip_family(const std::string& text) noexcept {
    in6_addr any{};
    if (inet_pton(AF_INET, text.c_str(), &any) == 1) return IpFamily::V4;
    if (inet_pton(AF_INET6, text.c_str(), &any) == 1) return IpFamily::V6;
    return std::nullopt;
}

} // namespace p2prc
