// One connection to a message bus, on Boost.Asio and never blocking: calls, matches, signals, names and
// objects.
#pragma once

#include "core/error.h"
#include "dbus/message.h"
#include "dbus/object.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct sd_bus;

namespace p2prc::dbus {

namespace detail {
class Connection;
}

// Keeps a match, an object or an enumerator registered; it goes away with the last copy. May outlive its Bus.
using Registration = std::shared_ptr<void>;
using MatchHandler = std::function<void(const Message&)>;

inline constexpr std::chrono::microseconds default_timeout = std::chrono::seconds(25);
// For calls that wait on work: the answer comes, or the connection ends.
inline constexpr std::chrono::microseconds no_timeout = std::chrono::microseconds::max();

// Belongs to the one thread that runs its executor. Destroying it ends pending calls without completing them.
class Bus {
  public:
    static Result<std::unique_ptr<Bus>> open_system(boost::asio::any_io_executor executor);
    // `address` as in dbus-daemon(1): "unix:path=/run/x". A message bus, not a peer.
    static Result<std::unique_ptr<Bus>> open_address(boost::asio::any_io_executor executor,
                                                     const std::string& address);
    ~Bus();
    Bus(const Bus&) = delete;
    Bus& operator=(const Bus&) = delete;

    boost::asio::any_io_executor executor() const;
    // For sd-bus functions that this class does not wrap. Whoever queues something on it calls kick()
    // afterwards, or it may never be sent. sd_bus_process and the synchronous calls are not for use on it.
    sd_bus* get() const noexcept;
    void kick();

    bool connected() const noexcept;
    // Called once, from the executor, when the connection has ended. sd-bus cannot reconnect: a daemon exits
    // and is started again.
    void on_disconnect(std::function<void(const Error&)> handler);
    // Ends the connection also when the bus has taken nothing for so long, although there is something to
    // send: dbus-daemon does so for ever when too much of what this connection sent is unread
    // (dbus/unread_answers.h).
    void end_when_stuck(std::chrono::milliseconds after);

    Result<Message> new_call(const std::string& destination, const std::string& path,
                             const std::string& interface, const std::string& member) const;
    Result<Message> new_signal(const std::string& path, const std::string& interface,
                               const std::string& member) const;

    // Sends a call and waits for its reply, which may be an error reply (also for a timeout, a refused send
    // and the end of the connection). For those who need the D-Bus name of the error.
    boost::asio::awaitable<Message> exchange(Message call,
                                             std::chrono::microseconds timeout = default_timeout);
    // The same with error replies turned to Error.
    boost::asio::awaitable<Result<Message>> call(Message call,
                                                 std::chrono::microseconds timeout = default_timeout);

    // Queues a signal, a reply or a call whose reply is not wanted.
    Result<void> send(const Message& message);
    // Queues a signal to one connection alone.
    Result<void> send_to(const Message& message, const std::string& destination);

    // A match rule of the D-Bus specification. In force for everything that is sent after it, as the bus
    // keeps the order; when the bus refuses it the connection is closed.
    Result<Registration> match(const std::string& rule, MatchHandler handler);
    // `handler` gets the new owner of `name`, empty when it has none any more. Changes only; ask name_owner
    // first.
    Result<Registration> watch_name(const std::string& name,
                                    std::function<void(const std::string& owner)> handler);
    // The unique name that owns `name` now; empty: nobody.
    boost::asio::awaitable<Result<std::string>> name_owner(std::string name);
    // Conflict when somebody else has it.
    boost::asio::awaitable<Result<void>> request_name(std::string name);
    // The user of a connection (Message::sender()), as the bus vouches for it.
    boost::asio::awaitable<Result<uid_t>> sender_uid(std::string sender);

    Result<Registration> add_object(const std::string& path, Interface interface);
    // All objects below `prefix` for which `exists` is true.
    Result<Registration> add_objects(const std::string& prefix, Interface interface,
                                     std::function<bool(const std::string& path)> exists);
    // Paths of the objects below `prefix`, for introspection and the object manager.
    Result<Registration> add_enumerator(const std::string& prefix,
                                        std::function<std::vector<std::string>()> paths);
    Result<Registration> add_object_manager(const std::string& path);

    // Signals of the standard interfaces. An object is announced when it can be found already; `interfaces`
    // of a removed one are its own, the standard ones are added here.
    Result<void> emit_properties_changed(const std::string& path, const std::string& interface,
                                         const std::vector<std::string>& names);
    Result<void> emit_object_added(const std::string& path);
    Result<void> emit_object_removed(const std::string& path, const std::vector<std::string>& interfaces);

  private:
    explicit Bus(std::shared_ptr<detail::Connection> connection);
    std::shared_ptr<detail::Connection> connection_;
};

} // namespace p2prc::dbus
