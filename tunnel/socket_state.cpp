#include "tunnel/socket_state.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace p2prc::tunnel {

bool output_queued(int socket, bool fin_sent) noexcept {
    int bytes = 0;
    return ioctl(socket, SIOCOUTQ, &bytes) == 0 && bytes > (fin_sent ? 1 : 0);
}

bool far_end_is_silent(int socket, std::chrono::milliseconds timeout) noexcept {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false; // a Unix socket
    // tcpi_probes are those of a closed window that were not answered. They are sent at growing intervals, up
    // to two minutes (TCP_RTO_MAX): one that is on its way says nothing yet.
    const bool asked = (info.tcpi_unacked > 0 && info.tcpi_retransmits > 1) || info.tcpi_probes > 2;
    return asked && std::chrono::milliseconds(info.tcpi_last_ack_recv) >= timeout;
}

} // namespace p2prc::tunnel
