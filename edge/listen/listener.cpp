#include "edge/listen/listener.h"

#include "edge/listen/admission.h"
#include "edge/listen/timed_set.h"
#include "net/one_shot_timer.h"
#include "net/sockaddr.h"
#include "tunnel/preface.h"
#include "tunnel/socket_options.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <variant>

namespace p2prc::edge {
namespace {

constexpr int accepts_a_turn = 64;
constexpr std::size_t read_size = 16 * 1024;
// How long accepting pauses when the process or the system is out of descriptors.
constexpr std::chrono::milliseconds descriptor_pause{100};

void set(int socket, int level, int name, int value) noexcept {
    setsockopt(socket, level, name, &value, sizeof value);
}

class Acceptor;
class Classifier;

} // namespace

struct Listener::State {
    State(tunnel::Poller& a_poller, const ListenerOptions& some_options, ConnectionHandler& a_handler,
          Counters& some_counters);
    ~State();

    tunnel::Poller& poller;
    ListenerOptions options;
    ConnectionHandler& handler;
    Counters& counters;
    Admission<Classifier*> admission;
    std::size_t bytes = 0; // held by all waiting connections
    std::array<char, read_size> scratch{};
    std::vector<std::unique_ptr<Acceptor>> acceptors;
    std::unique_ptr<TimedSet<Classifier>> set;
    // A list of all in `set`, in the order in which they were accepted.
    Classifier* oldest = nullptr;
    Classifier* newest = nullptr;
};

namespace {

// One connection until its protocol is known.
class Classifier final : public TimedHandler {
  public:
    Classifier(Listener::State& listener, net::UniqueFd socket, const net::Endpoint& peer, Protocol protocol)
        : listener_(listener)
        , protocol_(protocol) {
        connection_.socket = std::move(socket);
        connection_.peer = peer;
        if (protocol == Protocol::Http) reader_.emplace<HttpHeadReader>();
        place_ = listener_.admission.enter(peer.address, this);
        older_ = listener_.newest;
        (older_ ? older_->newer_ : listener_.oldest) = this;
        listener_.newest = this;
    }

    // The connection accepted next.
    Classifier* newer() const noexcept { return newer_; }
    std::size_t held() const noexcept { return connection_.received.size(); }
    void leave() { take(); }

    void start() {
        // The first bytes often arrive with the last packet of the TCP handshake.
        if (read()) return;
        if (!listener_.poller.add(connection_.socket.get(), EPOLLIN | EPOLLRDHUP, *this, 0)) {
            leave();
            return;
        }
        connection_.polled = true;
    }

    void on_ready(unsigned, std::uint32_t) override {
        if (connection_.socket) read();
    }

    void on_deadline() override {
        ++listener_.counters.first_timeout;
        leave();
    }

  private:
    // Returns true when this object has left the set.
    bool read() {
        for (;;) {
            auto& scratch = listener_.scratch;
            const auto got = recv(connection_.socket.get(), scratch.data(), scratch.size(), 0);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0 && errno == EAGAIN) return false;
            if (got <= 0) {
                ++listener_.counters.first_closed;
                leave();
                return true;
            }
            const auto size = static_cast<std::size_t>(got);
            listener_.bytes += size;
            connection_.received.append(scratch.data(), size);
            if (listener_.bytes > listener_.options.waiting_bytes && evict_largest()) return true;
            if (classify()) return true;
        }
    }

    // Evicts the connection that holds most, not the newest: otherwise a few large ones could lock out all
    // others. Returns true when that is this connection.
    bool evict_largest() {
        Classifier* most = this;
        for (Classifier* each = listener_.oldest; each; each = each->newer())
            if (each->held() > most->held()) most = each;
        ++listener_.counters.over_bytes;
        most->leave();
        return most == this;
    }

    bool classify() {
        const std::string_view received = connection_.received;
        if (first_) {
            first_ = received.size() < tunnel::preface_magic.size();
            if (protocol_ == Protocol::Tls) {
                flow_ = received.starts_with(tunnel::preface_magic);
                if (tunnel::preface_magic.starts_with(received)) return false;
                if (!flow_ && received.front() >= 'A' && received.front() <= 'Z')
                    reader_.emplace<HttpHeadReader>();
            }
        }
        if (flow_) return classify_flow();
        return std::holds_alternative<HttpHeadReader>(reader_) ? classify_request() : classify_hello();
    }

    // Anybody can send half a preface, so the rest is awaited here, where limits and deadlines apply.
    bool classify_flow() {
        if (connection_.received.size() < tunnel::preface_size) return false;
        listener_.handler.on_flow(take());
        return true;
    }

    bool classify_hello() {
        auto& reader = std::get<ClientHelloReader>(reader_);
        const auto status = reader.read(as_bytes(connection_.received));
        if (status == ClientHelloReader::Status::NeedMore) return false;
        auto connection = take();
        if (status == ClientHelloReader::Status::Ready)
            listener_.handler.on_hello(std::move(connection), reader.take_hello());
        else
            listener_.handler.on_refused_hello(std::move(connection), reader.refusal());
        return true;
    }

    bool classify_request() {
        auto& reader = std::get<HttpHeadReader>(reader_);
        const auto status = reader.read(connection_.received);
        if (status == HttpHeadReader::Status::NeedMore) return false;
        auto connection = take();
        if (status == HttpHeadReader::Status::Ready)
            listener_.handler.on_request(std::move(connection), protocol_, reader.request());
        else if (protocol_ == Protocol::Tls && !looks_like_http(connection.received))
            listener_.handler.on_refused_hello(std::move(connection), HelloRefusal::NotTls);
        else
            listener_.handler.on_refused_request(std::move(connection), reader.refusal());
        return true;
    }

    // Leaves the set and returns the connection. This object lives until the end of the loop's iteration.
    Connection take() {
        auto connection = std::move(connection_);
        listener_.bytes -= connection.received.size();
        listener_.admission.leave(connection.peer.address, place_);
        (older_ ? older_->newer_ : listener_.oldest) = newer_;
        (newer_ ? newer_->older_ : listener_.newest) = older_;
        listener_.set->remove(*this);
        return connection;
    }

    Listener::State& listener_;
    Classifier* older_ = nullptr;
    Classifier* newer_ = nullptr;
    Admission<Classifier*>::Place place_;
    Connection connection_;
    Protocol protocol_;
    bool first_ = true; // too few bytes yet to tell the protocols apart
    bool flow_ = false; // a connector's flow connection
    std::variant<ClientHelloReader, HttpHeadReader> reader_;
};

class Acceptor final : public tunnel::PollHandler {
  public:
    Acceptor(Listener::State& listener, net::UniqueFd socket, Protocol protocol)
        : listener_(listener)
        , socket_(std::move(socket))
        , protocol_(protocol)
        , pause_(listener.poller.executor()) {}

    Result<void> start() { return listener_.poller.add(socket_.get(), EPOLLIN, *this, 0); }
    void stop() {
        listener_.poller.remove(socket_.get()); // systemd may hold it as well
        socket_.reset();
        pause_.cancel();
    }

    void on_ready(unsigned, std::uint32_t) override { on_again(); }

    void on_again() override {
        for (int i = 0; i < accepts_a_turn && socket_; ++i) {
            sockaddr_storage name{};
            socklen_t size = sizeof name;
            auto* address = reinterpret_cast<sockaddr*>(&name);
            net::UniqueFd socket(accept4(socket_.get(), address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!socket) {
                if (errno == EAGAIN) return;
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                    ++listener_.counters.no_descriptors;
                    pause();
                    return;
                }
                // accept(2): the error concerns the one connection; the next may be fine.
                continue;
            }
            ++listener_.counters.accepted;
            const auto peer = net::Endpoint::from_sockaddr(address, size);
            // When full, evict the oldest silent connection, not the newest: real clients send within a round
            // trip and are classified long before they are the oldest.
            const auto evicted = listener_.admission.to_evict(peer.address);
            if (evicted || listener_.admission.total() >= listener_.options.waiting) {
                ++listener_.counters.over_limit;
                (evicted ? *evicted : listener_.oldest)->leave();
            }
            auto classifier = std::make_unique<Classifier>(listener_, std::move(socket), peer, protocol_);
            listener_.set->add(std::move(classifier), listener_.options.first_timeout).start();
        }
        if (socket_) listener_.poller.again(*this);
    }

  private:
    void pause() {
        pause_.arm(descriptor_pause, [this] { on_again(); });
    }

    Listener::State& listener_;
    net::UniqueFd socket_;
    Protocol protocol_;
    net::OneShotTimer pause_;
};

} // namespace

Listener::State::State(tunnel::Poller& a_poller, const ListenerOptions& some_options,
                       ConnectionHandler& a_handler, Counters& some_counters)
    : poller(a_poller)
    , options(some_options)
    , handler(a_handler)
    , counters(some_counters)
    , admission(options.waiting_per_address)
    , set(std::make_unique<TimedSet<Classifier>>(poller)) {}

Listener::State::~State() = default;

Listener::Listener(tunnel::Poller& poller, ListenerOptions options, ConnectionHandler& handler,
                   Counters& counters)
    : state_(std::make_unique<State>(poller, options, handler, counters)) {}

Listener::~Listener() {
    stop_accepting();
}

Result<void> Listener::listen(net::UniqueFd socket, Protocol protocol) {
    const int fd = socket.get();
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    // Accepted sockets inherit these options, which saves system calls.
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    tunnel::set_acknowledge_with_data(fd);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 6);
    auto acceptor = std::make_unique<Acceptor>(*state_, std::move(socket), protocol);
    if (auto started = acceptor->start(); !started) return started;
    state_->acceptors.push_back(std::move(acceptor));
    return {};
}

void Listener::stop_accepting() {
    for (auto& acceptor : state_->acceptors) {
        acceptor->stop();
        state_->poller.retire(std::move(acceptor));
    }
    state_->acceptors.clear();
}

std::size_t Listener::waiting() const noexcept {
    return state_->admission.total();
}

Result<net::UniqueFd> open_listener(const net::Endpoint& endpoint) {
    sockaddr_storage name{};
    const auto size = net::to_sockaddr(endpoint, name);
    const auto what = "cannot listen on " + endpoint.text();
    net::UniqueFd socket(::socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return std::unexpected(system_error(what, errno));
    set(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (name.ss_family == AF_INET6) set(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (bind(socket.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
        ::listen(socket.get(), 4096) != 0) {
        auto error = system_error(what, errno);
        if (errno == EADDRINUSE) error.hint = "another program holds the port: see ss -ltnp";
        if (errno == EADDRNOTAVAIL) error.hint = "the machine does not have that address: see ip address";
        if (errno == EACCES) error.hint = "ports below 1024 need CAP_NET_BIND_SERVICE or a socket unit";
        return std::unexpected(std::move(error));
    }
    return socket;
}

} // namespace p2prc::edge
