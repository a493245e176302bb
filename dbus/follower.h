// Follows what p2prcd hands to one of its helpers, the edge or the connector: connects to the bus, registers,
// gets the document again whenever it has changed, and reports. Tries again for ever.
#pragma once

#include "dbus/bus.h"
#include "dbus/client.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace p2prc::dbus {

// The helper's interface, over one connection.
class Followed {
  public:
    virtual ~Followed() = default;
    virtual boost::asio::awaitable<Result<void>> register_key(std::string fingerprint) = 0;
    virtual boost::asio::awaitable<Result<Feed>> get() = 0;
    virtual boost::asio::awaitable<Result<void>> report_status(Json status) = 0;
    virtual Result<Registration> watch(std::function<void(std::uint64_t revision)> changed) = 0;
};

// FollowedBy<EdgeClient, &EdgeClient::routes>
template <class Client, auto get_document>
class FollowedBy : public Followed {
  public:
    explicit FollowedBy(Bus& bus) : client_(bus) {}
    boost::asio::awaitable<Result<void>> register_key(std::string fingerprint) override {
        return client_.register_key(std::move(fingerprint));
    }
    boost::asio::awaitable<Result<Feed>> get() override { return (client_.*get_document)(); }
    boost::asio::awaitable<Result<void>> report_status(Json status) override {
        return client_.report_status(std::move(status));
    }
    Result<Registration> watch(std::function<void(std::uint64_t revision)> changed) override {
        return client_.watch(std::move(changed));
    }

  private:
    Client client_;
};

struct FollowerOptions {
    std::function<std::unique_ptr<Followed>(Bus&)> open;
    std::string what;        // the document, in messages: "routes"
    std::string bus_address; // empty: the system bus
    std::string fingerprint; // of the helper's key, registered with p2prcd
    // Whether the document could be read; if not, it is got again.
    std::function<Result<void>(Feed)> apply;
    std::function<Json()> status;                   // reported to p2prcd now and then
    std::function<void()> registered = {};          // p2prcd is reachable (again)
    std::function<void(const Error&)> refused = {}; // the key could not be registered; it is tried again
    // What does not work: each failure once, not at each attempt.
    std::function<void(const Error& failure)> warn;
};

class Follower {
  public:
    // Whoever has a call in progress holds it, so that it stays open. Without a bus after leave().
    struct Connection {
        std::unique_ptr<Bus> bus;
        std::unique_ptr<Followed> client;
        bool gone = false;
    };

    Follower(boost::asio::any_io_executor executor, FollowerOptions options);
    ~Follower();
    Follower(const Follower&) = delete;
    Follower& operator=(const Follower&) = delete;

    // Runs until leave(). Must not outlive this object.
    boost::asio::awaitable<void> run();
    // Closes the connection, also where calls are in progress: they end without an answer. Opens no other.
    void leave();
    // Reports the status at once. May be called from FollowerOptions::apply.
    void report();
    // Warns of a failure of the owner's own, once, as of others.
    void failed(const std::string& what, const Error& error);
    // Null while there is none.
    std::shared_ptr<Connection> connection() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace p2prc::dbus
