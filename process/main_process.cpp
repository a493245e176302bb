#include "process/main_process.h"

#include "net/fd.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace p2prc::process {

bool main_process_ended(std::uint32_t pid) {
    if (pid == 0) return false;
    const net::UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    // pidfd_open(2): readable when the process ends, all its threads included.
    pollfd end{process.get(), POLLIN, 0};
    return process && poll(&end, 1, 0) == 1;
}

} // namespace p2prc::process
