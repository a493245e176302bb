#include "edge/dns/udp.h"

#include "edge/dns/service.h"

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

namespace p2prc::edge::dns {
namespace {

constexpr std::size_t batch_size = 64;
// Batches in one turn of the event loop, so that a flood of queries does not starve what shares the loop.
constexpr int batches_a_turn = 8;
// No honest query is longer. One that is gets cut by the kernel, and FORMERR.
constexpr std::size_t longest_request = 4096;
// Odd multiples of the cache line, or all buffers of a batch would fall into the same sets of the cache.
constexpr std::size_t request_stride = longest_request + 64;
constexpr std::size_t answer_stride = 1232 + 48;
constexpr int socket_buffer = 1 << 20;

// The buffers of one recvmmsg and the sendmmsg that answers it. One for each thread is enough: nothing stays
// in it.
struct Batch {
    std::array<std::array<std::uint8_t, request_stride>, batch_size> requests;
    std::array<std::array<std::uint8_t, answer_stride>, batch_size> answers;
    std::array<sockaddr_in6, batch_size> peers;
    std::array<iovec, batch_size> in_parts;
    std::array<iovec, batch_size> out_parts;
    std::array<mmsghdr, batch_size> in{};
    std::array<mmsghdr, batch_size> out{};

    Batch() {
        for (std::size_t i = 0; i < batch_size; ++i) {
            in_parts[i] = {requests[i].data(), longest_request};
            in[i].msg_hdr.msg_name = &peers[i];
            in[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
            in[i].msg_hdr.msg_iov = &in_parts[i];
            in[i].msg_hdr.msg_iovlen = 1;
            out[i].msg_hdr.msg_iov = &out_parts[i];
            out[i].msg_hdr.msg_iovlen = 1;
        }
    }
};

Batch& batch_of_thread() {
    static thread_local const std::unique_ptr<Batch> batch = std::make_unique<Batch>();
    return *batch;
}

net::Address address_of(const mmsghdr& message) noexcept {
    const auto* name = static_cast<const sockaddr*>(message.msg_hdr.msg_name);
    return net::Endpoint::from_sockaddr(name, message.msg_hdr.msg_namelen).address;
}

} // namespace

class UdpListener::Socket : public std::enable_shared_from_this<Socket> {
  public:
    Socket(boost::asio::any_io_executor executor, std::shared_ptr<Service> service)
        : socket_(executor)
        , service_(std::move(service)) {}

    Result<void> open(const net::Endpoint& at) {
        namespace ip = boost::asio::ip;
        boost::system::error_code error;
        const ip::udp::endpoint local(ip::make_address(at.address.text(), error), at.port);
        if (!error) socket_.open(local.protocol(), error);
        if (!error) socket_.non_blocking(true, error);
        if (!error && local.address().is_v6()) socket_.set_option(ip::v6_only(true), error);
        if (!error) socket_.bind(local, error);
        if (error)
            return std::unexpected(system_error("cannot listen for DNS on UDP " + at.text(), error.value()));
        const int fd = socket_.native_handle();
        // Asked for, not insisted on: the kernel has its own maximum.
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &socket_buffer, sizeof socket_buffer);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &socket_buffer, sizeof socket_buffer);
        // Forged "fragmentation needed" messages must not make us fragment (ip(7)): answers fit in every
        // path.
        const int omit = IP_PMTUDISC_OMIT;
        if (at.address.is_v4()) setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &omit, sizeof omit);
        const int omit6 = IPV6_PMTUDISC_OMIT;
        if (at.address.is_v6()) setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &omit6, sizeof omit6);
        wait();
        return {};
    }

    void close() {
        boost::system::error_code ignored;
        socket_.close(ignored);
    }

    int fd() { return socket_.native_handle(); }

  private:
    void wait() {
        socket_.async_wait(boost::asio::ip::udp::socket::wait_read,
                           [self = shared_from_this()](boost::system::error_code error) {
                               if (error || !self->socket_.is_open()) return;
                               self->drain();
                               self->wait();
                           });
    }

    void drain() {
        Batch& batch = batch_of_thread();
        const int fd = socket_.native_handle();
        for (int turn = 0; turn < batches_a_turn; ++turn) {
            const int received = recvmmsg(fd, batch.in.data(), batch_size, MSG_DONTWAIT, nullptr);
            // An error that an earlier answer met (ICMP) is reported here once; the next call goes on.
            if (received < 0 && errno != EAGAIN && errno != EINTR) continue;
            if (received <= 0) return;
            answer_batch(batch, static_cast<std::size_t>(received));
            if (static_cast<std::size_t>(received) < batch_size) return;
        }
    }

    void answer_batch(Batch& batch, std::size_t received) {
        RateLimit& limit = service_->limit;
        const auto now = limit.limits() ? std::chrono::steady_clock::now().time_since_epoch()
                                        : std::chrono::steady_clock::duration();
        std::size_t count = 0;
        for (std::size_t i = 0; i < received; ++i) {
            mmsghdr& in = batch.in[i];
            const std::span<const std::uint8_t> bytes(batch.requests[i].data(), in.msg_len);
            const std::span<std::uint8_t> out(batch.answers[count].data(), udp_edns);
            const std::size_t size = limit.limits() ? service_->serve_udp(bytes, address_of(in), now, out)
                                                    : service_->serve(bytes, Transport::Udp, out);
            if (size != 0) {
                batch.out_parts[count] = {batch.answers[count].data(), size};
                batch.out[count].msg_hdr.msg_name = in.msg_hdr.msg_name;
                batch.out[count].msg_hdr.msg_namelen = in.msg_hdr.msg_namelen;
                ++count;
            }
            in.msg_hdr.msg_namelen = sizeof(sockaddr_in6);
        }
        for (std::size_t sent = 0; sent < count;) {
            const int taken = sendmmsg(socket_.native_handle(), &batch.out[sent],
                                       static_cast<unsigned>(count - sent), MSG_DONTWAIT);
            if (taken > 0) {
                sent += static_cast<std::size_t>(taken);
            } else if (errno != EINTR) {
                // This one cannot be sent (a source port of 0, no route, a full queue): a lost datagram, like
                // any other.
                ++service_->counters.send_failed;
                ++sent;
            }
        }
    }

    boost::asio::ip::udp::socket socket_;
    std::shared_ptr<Service> service_;
};

UdpListener::UdpListener(boost::asio::any_io_executor executor, std::shared_ptr<Service> service)
    : socket_(std::make_shared<Socket>(std::move(executor), std::move(service))) {}

UdpListener::~UdpListener() {
    socket_->close();
}

Result<void> UdpListener::open(const net::Endpoint& at) {
    return socket_->open(at);
}

net::Endpoint UdpListener::local() const {
    return net::local_endpoint(socket_->fd());
}

} // namespace p2prc::edge::dns
