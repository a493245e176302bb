#include "edge/dns/server.h"

#include "edge/dns/serial.h"
#include "edge/dns/udp.h"
#include "edge/dns/zone.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

namespace p2prc::edge::dns {
namespace {

namespace asio = boost::asio;

struct Listener {
    net::Endpoint asked;
    std::unique_ptr<UdpListener> udp;
    std::unique_ptr<TcpListener> tcp;
};

// A table that waits to be packed, and what came of it.
struct Edition {
    RouteTable table;
    std::shared_ptr<const Snapshot> snapshot;
    std::map<std::string, std::uint32_t> serials;
    std::optional<Error> error;
};

} // namespace

class Server::Impl : public std::enable_shared_from_this<Impl> {
  public:
    Impl(asio::any_io_executor executor, Options options)
        : executor_(executor)
        , options_(std::move(options))
        , serials_(options_.state_file)
        , timer_(executor)
        , service_(std::make_shared<Service>())
        , connections_(make_tcp_connections(executor, service_, options_.tcp)) {
        std::random_device random;
        const std::uint64_t seed = std::uint64_t{random()} << 32 | random();
        service_->limit = RateLimit(options_.udp_answers_per_second, seed);
    }

    Result<void> listen(std::span<const net::Endpoint> endpoints) {
        std::vector<Listener> opened;
        for (const net::Endpoint& at : endpoints) {
            auto listener = open(at);
            if (!listener) return std::unexpected(std::move(listener.error()));
            opened.push_back(std::move(*listener));
        }
        std::ranges::move(opened, std::back_inserter(listeners_));
        return {};
    }

    Result<void> rebind(std::span<const net::Endpoint> endpoints) {
        std::erase_if(listeners_, [&](const Listener& each) {
            return std::ranges::find(endpoints, each.asked) == endpoints.end();
        });
        Result<void> all;
        for (const net::Endpoint& at : endpoints) {
            if (std::ranges::find(listeners_, at, &Listener::asked) != listeners_.end()) continue;
            auto listener = open(at);
            if (listener)
                listeners_.push_back(std::move(*listener));
            else if (all)
                all = std::unexpected(std::move(listener.error()));
        }
        return all;
    }

    std::vector<Rejection> publish(const RouteTable& table) {
        admitted_ = admit_zones(table, admitted_);
        auto edition = std::make_shared<Edition>();
        edition->table.revision = table.revision;
        edition->table.routes = table.routes;
        std::vector<Rejection> rejected;
        for (const AdmittedZone& zone : admitted_) {
            if (zone.served) edition->table.zones.push_back(*zone.served);
            rejected.insert(rejected.end(), zone.rejected.begin(), zone.rejected.end());
        }
        waiting_ = std::move(edition);
        if (!std::exchange(published_, true)) {
            const auto first = std::exchange(waiting_, nullptr);
            make(*first);
            finish(*first);
        }
        schedule();
        return rejected;
    }

    std::vector<net::Endpoint> endpoints() const {
        std::vector<net::Endpoint> all;
        for (const Listener& listener : listeners_)
            all.push_back(listener.udp->local());
        return all;
    }

    void stop() {
        timer_.cancel();
        listeners_.clear();
        close_all(*connections_);
        pool_.join();
    }

    const Counters& counters() const { return service_->counters; }
    const std::map<std::string, std::uint32_t>& serials() const { return served_serials_; }

  private:
    Result<Listener> open(net::Endpoint at) {
        const auto& bytes = at.address.bytes();
        if (std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; }))
            return fail(ErrorCode::InvalidSpec, "DNS cannot listen on the wildcard address " + at.text(),
                        "name the machine's own addresses, one by one");
        Listener listener{at, std::make_unique<UdpListener>(executor_, service_),
                          std::make_unique<TcpListener>(executor_, connections_)};
        if (auto good = listener.udp->open(at); !good) return std::unexpected(std::move(good.error()));
        at.port = listener.udp->local().port;
        if (auto good = listener.tcp->open(at); !good) return std::unexpected(std::move(good.error()));
        return listener;
    }

    void make(Edition& edition) {
        if (!loaded_) {
            if (auto good = serials_.load(); !good) {
                edition.error = std::move(good.error());
                return;
            }
            loaded_ = true;
        }
        auto zones = compile_zones(edition.table);
        if (!zones) {
            edition.error = std::move(zones.error());
            return;
        }
        // Serials are on disk before anyone is answered with them.
        if (auto good = serials_.assign(*zones, edition.table.revision); !good) {
            edition.error = std::move(good.error());
            return;
        }
        for (const ZoneData& zone : *zones)
            edition.serials[name_to_text(zone.apex)] = zone.serial();
        edition.snapshot = Snapshot::build(*zones);
    }

    // One timer and one edition in the making at a time: what is published meanwhile replaces what waits. A
    // change after a quiet time is not held up; those that follow it closely are taken together.
    void schedule() {
        if (busy_ || !waiting_) return;
        busy_ = true;
        timer_.expires_at(last_start_ + (told_.empty() ? options_.coalesce : options_.retry));
        timer_.async_wait([self = weak_from_this()](boost::system::error_code error) {
            if (const auto impl = self.lock(); impl && !error) impl->start();
        });
    }

    void start() {
        last_start_ = std::chrono::steady_clock::now();
        // serials_ and loaded_ belong to the pool's thread until finish(); stop() waits for it, so `this`
        // outlives the work.
        asio::post(pool_, [this, edition = std::move(waiting_), self = weak_from_this()] {
            make(*edition);
            asio::post(executor_, [edition, self] {
                if (const auto impl = self.lock()) impl->finish(*edition);
            });
        });
    }

    void finish(Edition& edition) {
        busy_ = false;
        if (edition.error) {
            const bool news = std::exchange(told_, edition.error->message) != edition.error->message;
            if (news && options_.on_error) options_.on_error(*edition.error);
            if (!waiting_) {
                waiting_ = std::make_shared<Edition>();
                waiting_->table = std::move(edition.table);
            }
        } else {
            told_.clear();
            service_->snapshot = std::move(edition.snapshot);
            served_serials_ = std::move(edition.serials);
        }
        schedule();
    }

    asio::any_io_executor executor_;
    Options options_;
    Serials serials_;
    asio::steady_timer timer_;
    std::chrono::steady_clock::time_point last_start_; // of the last edition's making
    std::shared_ptr<Service> service_;
    std::shared_ptr<TcpConnections> connections_;
    std::vector<Listener> listeners_;
    std::vector<AdmittedZone> admitted_; // of the last table
    std::map<std::string, std::uint32_t> served_serials_;
    std::shared_ptr<Edition> waiting_;
    std::string told_; // what failed with the last edition; empty: nothing did
    bool busy_ = false;
    bool published_ = false;
    bool loaded_ = false; // serials_
    asio::thread_pool pool_{1};
};

Server::Server(asio::any_io_executor executor, Options options)
    : impl_(std::make_shared<Impl>(std::move(executor), std::move(options))) {}

Server::~Server() {
    impl_->stop();
}

Result<void> Server::listen(std::span<const net::Endpoint> endpoints) {
    return impl_->listen(endpoints);
}
Result<void> Server::rebind(std::span<const net::Endpoint> endpoints) {
    return impl_->rebind(endpoints);
}
std::vector<Rejection> Server::publish(const RouteTable& table) {
    return impl_->publish(table);
}
const Counters& Server::counters() const {
    return impl_->counters();
}
const std::map<std::string, std::uint32_t>& Server::serials() const {
    return impl_->serials();
}
std::vector<net::Endpoint> Server::endpoints() const {
    return impl_->endpoints();
}
void Server::stop() {
    impl_->stop();
}

} // namespace p2prc::edge::dns
