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
    State(tunnel::Poller& a_poller, tunnel::Pumps& some_pumps, Farewells& some_farewells,
          Counters& some_counters, std::chrono::milliseconds a_timeout);
    ~State();

    void join(Arrival arrival, net::UniqueFd far, bool far_polled, std::string unsent) {
        tunnel::PumpSockets sockets;
        sockets.a = std::move(arrival.socket);
        sockets.a_polled = arrival.polled;
        sockets.b = std::move(far);
        sockets.b_polled = far_polled;
        sockets.to_b = std::move(unsent);
        pumps.start(std::move(sockets), [this](const tunnel::PumpResult& result) {
            if (result.end == tunnel::PumpEnd::Reset) ++counters.resets;
            if (result.end == tunnel::PumpEnd::IdleTimeout ||
                result.end == tunnel::PumpEnd::HalfClosedTimeout)
                ++counters.idle_closed;
        });
    }

    void fail(Arrival arrival, std::string_view sorry) {
        ++counters.dial_failed;
        farewells.say(std::move(arrival), sorry);
    }

    tunnel::Poller& poller;
    tunnel::Pumps& pumps;
    Farewells& farewells;
    Counters& counters;
    std::chrono::milliseconds timeout;
    std::unique_ptr<TimedSet<Dialling>> set;
};

namespace {

// One connection attempt.
class Dialling final : public TimedHandler {
  public:
    Dialling(Dialer::State& dialer, Arrival arrival, net::UniqueFd far, std::string head,
             std::string_view sorry)
        : dialer_(dialer)
        , arrival_(std::move(arrival))
        , far_(std::move(far))
        , head_(std::move(head))
        , sorry_(sorry) {}

    void start() {
        // Whoever watched the client until now goes away.
        const bool watched =
            !arrival_.polled || dialer_.poller.change(arrival_.socket.get(), 0, *this, from_client);
        if (!watched || !dialer_.poller.add(far_.get(), EPOLLOUT, *this, from_far)) on_deadline();
    }

    void on_ready(unsigned which, std::uint32_t events) override {
        if (!far_) return;
        if (which == from_client) {
            // Errors and hang-ups are told unasked: nobody is left to dial for.
            far_.reset();
            arrival_.socket.reset();
            ++dialer_.counters.first_closed;
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
        dialer_.join(std::move(arrival_), std::move(far_), true, std::move(head_));
        dialer_.set->remove(*this);
    }

    void on_deadline() override {
        far_.reset();
        dialer_.fail(std::move(arrival_), sorry_);
        dialer_.set->remove(*this);
    }

  private:
    static constexpr unsigned from_far = 0, from_client = 1;

    Dialer::State& dialer_;
    Arrival arrival_;
    net::UniqueFd far_;
    std::string head_;
    std::string sorry_;
};

} // namespace

Dialer::State::State(tunnel::Poller& a_poller, tunnel::Pumps& some_pumps, Farewells& some_farewells,
                     Counters& some_counters, std::chrono::milliseconds a_timeout)
    : poller(a_poller)
    , pumps(some_pumps)
    , farewells(some_farewells)
    , counters(some_counters)
    , timeout(a_timeout)
    , set(std::make_unique<TimedSet<Dialling>>(poller)) {}

Dialer::State::~State() = default;

Dialer::Dialer(tunnel::Poller& poller, tunnel::Pumps& pumps, Farewells& farewells, Counters& counters,
               std::chrono::milliseconds timeout)
    : state_(std::make_unique<State>(poller, pumps, farewells, counters, timeout)) {}

Dialer::~Dialer() = default;

void Dialer::relay(const Target& target, Arrival arrival, std::string_view prefix, std::string_view sorry) {
    net::UniqueFd far(socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!far) {
        state_->fail(std::move(arrival), sorry);
        return;
    }
    if (target.family() != AF_UNIX) tunnel::set_relay_options(far.get());
    if (connect(far.get(), target.address(), target.size) != 0 && errno != EINPROGRESS) {
        state_->fail(std::move(arrival), sorry);
        return;
    }
    auto head = std::move(arrival.received);
    arrival.received.clear();
    if (!prefix.empty()) head.insert(0, prefix);
    // On this machine a connection is there when connect returns, whatever it says: then no event is waited
    // for.
    const auto sent = send(far.get(), head.data(), head.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
        head.erase(0, static_cast<std::size_t>(sent));
        state_->join(std::move(arrival), std::move(far), false, std::move(head));
        return;
    }
    if (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) {
        state_->fail(std::move(arrival), sorry);
        return;
    }
    auto dialling =
        std::make_unique<Dialling>(*state_, std::move(arrival), std::move(far), std::move(head), sorry);
    state_->set->add(std::move(dialling), state_->timeout).start();
}

void Dialer::join(Arrival arrival, net::UniqueFd far, bool far_polled, std::string unsent) {
    state_->join(std::move(arrival), std::move(far), far_polled, std::move(unsent));
}

std::size_t Dialer::dialling() const noexcept {
    return state_->set->size();
}

} // namespace p2prc::edge
