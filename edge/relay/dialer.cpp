#include "edge/relay/dialer.h"

#include "edge/listen/timed_set.h"
#include "tunnel/socket_options.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace p2prc::edge {
namespace {

class Dialling;

} // namespace

struct Dialer::State {
    State(tunnel::Poller& a_poller, Joiner& a_joiner, std::chrono::milliseconds a_timeout);
    ~State();

    tunnel::Poller& poller;
    Joiner& joiner;
    std::chrono::milliseconds timeout;
    std::unique_ptr<TimedSet<Dialling>> set;
};

namespace {

// One connection attempt.
class Dialling final : public TimedHandler {
  public:
    Dialling(Dialer::State& dialer, Connection connection, net::UniqueFd far, std::string head,
             std::string_view message, std::uint32_t group)
        : dialer_(dialer)
        , connection_(std::move(connection))
        , far_(std::move(far))
        , head_(std::move(head))
        , message_(message)
        , group_(group) {}

    void start() {
        // A client that sends its FIN before it has received anything cannot finish a TLS handshake: it has
        // left.
        if (!watch(dialer_.poller, connection_, EPOLLRDHUP, *this, from_client) ||
            !dialer_.poller.add(far_.get(), EPOLLOUT, *this, from_far))
            on_deadline();
    }

    void on_ready(unsigned which, std::uint32_t events) override {
        if (!far_) return;
        if (which == from_client) {
            // The client has left.
            far_.reset();
            connection_.socket.reset();
            dialer_.joiner.left();
            dialer_.set->remove(*this);
            return;
        }
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(far_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0 || (events & EPOLLERR)) {
            on_deadline();
            return;
        }
        if (!(events & EPOLLOUT)) return;
        dialer_.joiner.join(std::move(connection_), std::move(far_), true, std::move(head_), group_);
        dialer_.set->remove(*this);
    }

    void on_deadline() override {
        far_.reset();
        dialer_.joiner.refuse(std::move(connection_), message_);
        dialer_.set->remove(*this);
    }

  private:
    static constexpr unsigned from_far = 0, from_client = 1;

    Dialer::State& dialer_;
    Connection connection_;
    net::UniqueFd far_;
    std::string head_;
    std::string message_;
    std::uint32_t group_;
};

} // namespace

Dialer::State::State(tunnel::Poller& a_poller, Joiner& a_joiner, std::chrono::milliseconds a_timeout)
    : poller(a_poller)
    , joiner(a_joiner)
    , timeout(a_timeout)
    , set(std::make_unique<TimedSet<Dialling>>(poller)) {}

Dialer::State::~State() = default;

Dialer::Dialer(tunnel::Poller& poller, Joiner& joiner, std::chrono::milliseconds timeout)
    : state_(std::make_unique<State>(poller, joiner, timeout)) {}

Dialer::~Dialer() = default;

void Dialer::relay(const Target& target, Connection connection, std::string_view prefix,
                   std::string_view message, std::uint32_t group) {
    net::UniqueFd far(socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!far) {
        state_->joiner.refuse(std::move(connection), message);
        return;
    }
    if (target.family() != AF_UNIX) tunnel::set_relay_options(far.get());
    if (connect(far.get(), target.address(), target.size) != 0 && errno != EINPROGRESS) {
        state_->joiner.refuse(std::move(connection), message);
        return;
    }
    auto head = std::move(connection.received);
    connection.received.clear();
    if (!prefix.empty()) head.insert(0, prefix);
    // A connection within this machine is established when connect returns, even with EINPROGRESS: then there
    // is no event to wait for.
    const auto sent = send(far.get(), head.data(), head.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
        head.erase(0, static_cast<std::size_t>(sent));
        state_->joiner.join(std::move(connection), std::move(far), false, std::move(head), group);
        return;
    }
    if (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) {
        state_->joiner.refuse(std::move(connection), message);
        return;
    }
    auto dialling = std::make_unique<Dialling>(*state_, std::move(connection), std::move(far),
                                               std::move(head), message, group);
    state_->set->add(std::move(dialling), state_->timeout).start();
}

std::size_t Dialer::dialling() const noexcept {
    return state_->set->size();
}

} // namespace p2prc::edge
