#include "net/listen_fds.h"

#include <systemd/sd-daemon.h>

#include <cstdlib>

namespace p2prc::net {

Result<std::vector<PassedSocket>> take_passed_sockets() {
    char** names = nullptr;
    const int count = sd_listen_fds_with_names(1, &names);
    if (count < 0) return std::unexpected(system_error("cannot take the sockets of the socket unit", -count));
    std::vector<PassedSocket> sockets;
    for (int i = 0; i < count; ++i) {
        sockets.push_back({UniqueFd(SD_LISTEN_FDS_START + i), names && names[i] ? names[i] : ""});
    }
    for (int i = 0; names && names[i]; ++i)
        std::free(names[i]);
    std::free(static_cast<void*>(names));
    return sockets;
}

} // namespace p2prc::net
