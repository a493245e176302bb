// The sockets that systemd opened for this program (sd_listen_fds(3)).
#pragma once

#include "core/error.h"
#include "net/fd.h"

#include <string>
#include <vector>

namespace p2prc::net {

struct PassedSocket {
    UniqueFd fd;
    std::string name; // FileDescriptorName= of its socket unit; the unit's name when not set
};

// All of them, closed on exec; none when the program was not started by a socket unit. May be called once:
// the environment variables are removed so that no child takes them for its own.
Result<std::vector<PassedSocket>> take_passed_sockets();

} // namespace p2prc::net
