#include "net/handover.h"

#include "net/fd.h"

#include <boost/asio/io_context.hpp>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace p2prc::net {

Result<void> hand_over_to_copy(boost::asio::io_context& context, int exit_status) {
    // pidfd_open(2): readable when the process has ended. Linux closes its files before that.
    const UniqueFd original(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
    if (!original) return std::unexpected(system_error("cannot watch this process", errno));
    context.notify_fork(boost::asio::io_context::fork_prepare);
    const pid_t copy = fork();
    if (copy < 0) {
        const int failure = errno;
        context.notify_fork(boost::asio::io_context::fork_parent);
        return std::unexpected(system_error("cannot fork", failure));
    }
    // Destructors would remove the clients' sockets from the epoll sets that both share.
    if (copy > 0) _exit(exit_status);
    pollfd ended{.fd = original.get(), .events = POLLIN, .revents = 0};
    while (poll(&ended, 1, -1) < 0 && errno == EINTR)
        continue;
    context.notify_fork(boost::asio::io_context::fork_child);
    return {};
}

} // namespace p2prc::net
