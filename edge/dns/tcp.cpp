#include "edge/dns/tcp.h"

#include "edge/dns/service.h"
#include "edge/dns/wire.h"
#include "net/spawn.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstring>
#include <list>
#include <map>

namespace p2prc::edge::dns {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using boost::system::error_code;

// Enough for many pipelined queries; a longer message makes its connection's buffer grow to hold it.
constexpr std::size_t first_buffer = 1024;
constexpr std::chrono::milliseconds accept_pause{100};

struct Connection {
    explicit Connection(tcp::socket accepted) : socket(std::move(accepted)) {}
    tcp::socket socket;
    net::Address key;
    Clock::time_point active = Clock::now();
    std::vector<std::uint8_t> buffer = std::vector<std::uint8_t>(first_buffer);
    std::size_t filled = 0;
};

void shut(Connection& connection) {
    error_code ignored;
    connection.socket.close(ignored);
}

} // namespace

class TcpConnections : public std::enable_shared_from_this<TcpConnections> {
  public:
    TcpConnections(asio::any_io_executor executor, std::shared_ptr<Service> service, TcpLimits limits)
        : service_(std::move(service))
        , limits_(limits)
        , sweep_(executor) {}

    void admit(tcp::socket socket) {
        Counters& counters = service_->counters;
        auto connection = std::make_shared<Connection>(std::move(socket));
        connection->key = net::peer_endpoint(connection->socket.native_handle()).address.limit_key();
        ++counters.tcp_accepted;
        // Refusing the newcomer would let one stranger keep out all that share an address with him.
        const bool crowded = by_address_[connection->key] >= limits_.per_address;
        if (crowded || open_.size() >= limits_.connections) {
            ++counters.tcp_refused;
            evict(crowded ? &connection->key : nullptr);
        }
        ++by_address_[connection->key];
        ++counters.tcp_open;
        open_.push_back(connection);
        if (open_.size() == 1) sweep();
        asio::co_spawn(connection->socket.get_executor(), serve(shared_from_this(), connection),
                       net::ReportFailure("DNS over a TCP connection"));
    }

    void close_all() {
        sweep_.cancel();
        while (!open_.empty())
            remove(*open_.front());
    }

  private:
    // Answers until the peer is done. One write carries length and message, as some resolvers expect them in
    // one segment (RFC 7766 section 8).
    static asio::awaitable<void> serve(std::shared_ptr<TcpConnections> self,
                                       std::shared_ptr<Connection> connection) {
        error_code error;
        std::vector<std::uint8_t> answer;
        while (!error) {
            std::size_t used = 0;
            while (!error) {
                if (!self->answer_next(*connection, used, answer)) break;
                const asio::const_buffer out = asio::buffer(answer);
                co_await asio::async_write(connection->socket, out,
                                           asio::redirect_error(asio::use_awaitable, error));
                connection->active = Clock::now();
            }
            if (error) break;
            compact(*connection, used);
            const asio::mutable_buffer space = asio::buffer(connection->buffer) + connection->filled;
            const std::size_t got = co_await connection->socket.async_read_some(
                space, asio::redirect_error(asio::use_awaitable, error));
            connection->filled += got;
        }
        self->remove(*connection);
    }

    // Takes whole messages from `used` on until one has an answer, and frames it. False: more must be read
    // first.
    bool answer_next(Connection& connection, std::size_t& used, std::vector<std::uint8_t>& answer) {
        for (;;) {
            const std::size_t left = connection.filled - used;
            if (left < 2) return false;
            const std::uint8_t* at = connection.buffer.data() + used;
            const std::size_t length = get16(at);
            if (left < 2 + length) return false;
            used += 2 + length;
            const std::size_t size =
                service_->serve({at + 2, length}, Transport::Tcp, std::span(scratch_).subspan(2));
            if (size == 0) continue;
            put16(scratch_.data(), static_cast<std::uint32_t>(size));
            answer.assign(scratch_.begin(), scratch_.begin() + static_cast<std::ptrdiff_t>(2 + size));
            return true;
        }
    }

    // Moves what is left to the front, and makes room for the whole of the message it begins.
    static void compact(Connection& connection, std::size_t used) {
        auto& buffer = connection.buffer;
        connection.filled -= used;
        if (used != 0) std::memmove(buffer.data(), buffer.data() + used, connection.filled);
        const std::size_t message = connection.filled < 2 ? 0 : 2 + std::size_t{get16(buffer.data())};
        if (message > buffer.size()) buffer.resize(message);
    }

    void remove(Connection& connection) {
        shut(connection);
        const auto found =
            std::ranges::find_if(open_, [&](const auto& each) { return each.get() == &connection; });
        if (found == open_.end()) return;
        const auto count = by_address_.find(connection.key);
        if (--count->second == 0) by_address_.erase(count);
        --service_->counters.tcp_open;
        open_.erase(found);
    }

    // The longest idle one, of all or of one address.
    void evict(const net::Address* only) {
        std::shared_ptr<Connection> oldest;
        for (const auto& each : open_)
            if ((!only || each->key == *only) && (!oldest || each->active < oldest->active)) oldest = each;
        if (oldest) remove(*oldest);
    }

    // Looks for idle connections a few times in the time they may be idle, while there are any.
    void sweep() {
        sweep_.expires_after(limits_.idle / 8);
        sweep_.async_wait([self = weak_from_this()](error_code error) {
            const auto connections = self.lock();
            if (error || !connections) return;
            connections->close_idle();
            if (!connections->open_.empty()) connections->sweep();
        });
    }

    void close_idle() {
        const auto limit = Clock::now() - limits_.idle;
        std::vector<std::shared_ptr<Connection>> idle;
        std::ranges::copy_if(open_, std::back_inserter(idle),
                             [&](const auto& each) { return each->active <= limit; });
        for (const auto& connection : idle)
            remove(*connection);
    }

    std::shared_ptr<Service> service_;
    TcpLimits limits_;
    asio::steady_timer sweep_;
    std::list<std::shared_ptr<Connection>> open_;
    std::map<net::Address, std::size_t> by_address_;
    std::vector<std::uint8_t> scratch_ = std::vector<std::uint8_t>(2 + tcp_limit);
};

std::shared_ptr<TcpConnections> make_tcp_connections(asio::any_io_executor executor,
                                                     std::shared_ptr<Service> service, TcpLimits limits) {
    return std::make_shared<TcpConnections>(std::move(executor), std::move(service), limits);
}

void close_all(TcpConnections& connections) {
    connections.close_all();
}

class TcpListener::Acceptor : public std::enable_shared_from_this<Acceptor> {
  public:
    Acceptor(asio::any_io_executor executor, std::shared_ptr<TcpConnections> connections)
        : acceptor_(executor)
        , pause_(executor)
        , connections_(std::move(connections)) {}

    Result<void> open(const net::Endpoint& at) {
        error_code error;
        const tcp::endpoint local(asio::ip::make_address(at.address.text(), error), at.port);
        if (!error) acceptor_.open(local.protocol(), error);
        if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
        if (!error && local.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(true), error);
        if (!error) acceptor_.bind(local, error);
        if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
        if (error)
            return std::unexpected(system_error("cannot listen for DNS on TCP " + at.text(), error.value()));
        accept();
        return {};
    }

    void close() {
        error_code ignored;
        acceptor_.close(ignored);
        pause_.cancel();
    }

    int fd() { return acceptor_.native_handle(); }

  private:
    void accept() {
        acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
            if (!self->acceptor_.is_open()) return;
            if (!error) {
                self->connections_->admit(std::move(socket));
                self->accept();
            } else {
                // Out of descriptors, most likely: the queue waits until some are free.
                self->pause_.expires_after(accept_pause);
                self->pause_.async_wait([self](error_code stopped) {
                    if (!stopped && self->acceptor_.is_open()) self->accept();
                });
            }
        });
    }

    tcp::acceptor acceptor_;
    asio::steady_timer pause_;
    std::shared_ptr<TcpConnections> connections_;
};

TcpListener::TcpListener(asio::any_io_executor executor, std::shared_ptr<TcpConnections> connections)
    : acceptor_(std::make_shared<Acceptor>(std::move(executor), std::move(connections))) {}

TcpListener::~TcpListener() {
    acceptor_->close();
}

Result<void> TcpListener::open(const net::Endpoint& at) {
    return acceptor_->open(at);
}

net::Endpoint TcpListener::local() const {
    return net::local_endpoint(acceptor_->fd());
}

} // namespace p2prc::edge::dns
