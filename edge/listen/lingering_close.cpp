#include "edge/listen/lingering_close.h"

#include "edge/listen/timed_set.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace p2prc::edge {
namespace {

constexpr std::chrono::milliseconds linger_time{2000};
constexpr std::size_t most_drained = 256 * 1024;
constexpr std::size_t most_at_once = 1024;

class Closing final : public TimedHandler {
  public:
    Closing(TimedSet<Closing>& set, net::UniqueFd socket) : set_(set), socket_(std::move(socket)) {}

    void on_ready(unsigned, std::uint32_t) override {
        std::array<char, 4096> waste;
        while (socket_) {
            const auto got = recv(socket_.get(), waste.data(), waste.size(), 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return;
            if (got > 0) drained_ += static_cast<std::size_t>(got);
            if (got <= 0 || drained_ > most_drained) on_deadline();
        }
    }
    void on_deadline() override {
        socket_.reset();
        set_.remove(*this);
    }
    int socket() const noexcept { return socket_.get(); }

  private:
    TimedSet<Closing>& set_;
    net::UniqueFd socket_;
    std::size_t drained_ = 0;
};

} // namespace

struct LingeringClose::State {
    explicit State(tunnel::Poller& a_poller) : poller(a_poller), closing(a_poller) {}
    tunnel::Poller& poller;
    TimedSet<Closing> closing;
};

LingeringClose::LingeringClose(tunnel::Poller& poller) : state_(std::make_unique<State>(poller)) {}
LingeringClose::~LingeringClose() = default;

std::size_t LingeringClose::size() const noexcept {
    return state_->closing.size();
}

void LingeringClose::close(Connection connection, std::string_view message) {
    // The message is small and fits into an empty send buffer; if it does not, it is dropped.
    if (!message.empty())
        send(connection.socket.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (shutdown(connection.socket.get(), SHUT_WR) != 0 || state_->closing.size() >= most_at_once) return;
    const int fd = connection.socket.get();
    auto& one = state_->closing.add(std::make_unique<Closing>(state_->closing, std::move(connection.socket)),
                                    linger_time);
    const auto watched = connection.polled ? state_->poller.change(fd, EPOLLIN | EPOLLRDHUP, one, 0)
                                           : state_->poller.add(fd, EPOLLIN | EPOLLRDHUP, one, 0);
    if (!watched) one.on_deadline();
}

std::string_view tls_alert(TlsAlert alert) noexcept {
    // A record of type 21 (alert), version 3.3, two bytes: level fatal, description.
    static constexpr auto make = [](TlsAlert which) {
        return std::array<char, 7>{21, 3, 3, 0, 2, 2, static_cast<char>(which)};
    };
    static constexpr auto illegal = make(TlsAlert::IllegalParameter), decode = make(TlsAlert::DecodeError),
                          internal = make(TlsAlert::InternalError), name = make(TlsAlert::UnrecognizedName);
    const auto& bytes = alert == TlsAlert::IllegalParameter ? illegal
                        : alert == TlsAlert::DecodeError    ? decode
                        : alert == TlsAlert::InternalError  ? internal
                                                            : name;
    return {bytes.data(), bytes.size()};
}

} // namespace p2prc::edge
