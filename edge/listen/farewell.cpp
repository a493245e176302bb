#include "edge/listen/farewell.h"

#include "edge/listen/timed_set.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace p2prc::edge {
namespace {

constexpr std::chrono::milliseconds patience{2000};
constexpr std::size_t drain_bytes = 256 * 1024;
constexpr std::size_t at_once = 1024;

class Leaving final : public TimedHandler {
  public:
    Leaving(TimedSet<Leaving>& set, net::UniqueFd socket) : set_(set), socket_(std::move(socket)) {}

    void on_ready(unsigned, std::uint32_t) override {
        std::array<char, 4096> waste;
        while (socket_) {
            const auto got = recv(socket_.get(), waste.data(), waste.size(), 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return;
            if (got > 0) drained_ += static_cast<std::size_t>(got);
            if (got <= 0 || drained_ > drain_bytes) on_deadline();
        }
    }
    void on_deadline() override {
        socket_.reset();
        set_.remove(*this);
    }
    int socket() const noexcept { return socket_.get(); }

  private:
    TimedSet<Leaving>& set_;
    net::UniqueFd socket_;
    std::size_t drained_ = 0;
};

} // namespace

struct Farewells::State {
    explicit State(tunnel::Poller& a_poller) : poller(a_poller), leaving(a_poller) {}
    tunnel::Poller& poller;
    TimedSet<Leaving> leaving;
};

Farewells::Farewells(tunnel::Poller& poller) : state_(std::make_unique<State>(poller)) {}
Farewells::~Farewells() = default;

std::size_t Farewells::size() const noexcept {
    return state_->leaving.size();
}

void Farewells::say(Connection connection, std::string_view words) {
    // So few bytes fit into an empty send buffer; if not, the peer does without.
    if (!words.empty())
        send(connection.socket.get(), words.data(), words.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (shutdown(connection.socket.get(), SHUT_WR) != 0 || state_->leaving.size() >= at_once) return;
    const int fd = connection.socket.get();
    auto& one = state_->leaving.add(std::make_unique<Leaving>(state_->leaving, std::move(connection.socket)),
                                    patience);
    const auto watched = connection.polled ? state_->poller.change(fd, EPOLLIN | EPOLLRDHUP, one, 0)
                                           : state_->poller.add(fd, EPOLLIN | EPOLLRDHUP, one, 0);
    if (!watched) one.on_deadline();
}

std::string_view tls_alert(TlsAlert alert) noexcept {
    // A record of type 21, version 3.3, two bytes: fatal, and which.
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
