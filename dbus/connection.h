// The sd-bus connection below Bus and its registrations: when to wake it.
#pragma once

#include "dbus/message.h"
#include "dbus/unread_answers.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

struct sd_bus;
struct sd_bus_message;
struct sd_bus_slot;

namespace p2prc::dbus::detail {

// A call that waits for its reply.
class PendingCall {
  public:
    virtual ~PendingCall() = default;
    // Its reply cannot come any more: the connection has ended.
    virtual void abandon() = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    // Takes over `bus`, which has been started.
    Connection(boost::asio::any_io_executor executor, sd_bus* bus, int duplicated_fd);
    ~Connection();

    sd_bus* bus() const noexcept { return bus_; }
    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
    bool connected() const noexcept { return !closed_; }
    // Asks for a turn of pump(), once however often it is called. Needed after everything that queues
    // something: the write queue and timeouts of sd-bus are not visible in the descriptor's readiness.
    void kick();
    void close();
    // Ends the connection when the bus has taken nothing for so long.
    void end_when_stuck(std::chrono::milliseconds after) noexcept { stuck_after_ = after; }
    Result<void> send(const Message& message);

    // Properties that sd-bus itself puts into one message, which has those of all objects where it is the
    // answer to GetManagedObjects: forgets the earlier ones, and counts one more of `value` bytes. False:
    // there are too many.
    void begin_properties() noexcept { properties_size_ = 0; }
    bool add_property(const std::string& path, const std::string& name, const std::string& type,
                      std::size_t value);

    // From now on, callers that leave too much of their answers unread are refused (dbus/unread_answers.h).
    Result<void> limit_unread();
    // Whether `call` is served; otherwise it has been refused.
    bool admit(sd_bus_message* call);
    // The call that is being processed will be answered by send_answer(), not by sd-bus.
    void answered_later() noexcept { caller_.clear(); }
    // One more of the paths that sd-bus lists in its answer.
    void add_listed(const std::string& path) noexcept { listed_size_ += around_listed + path.size(); }
    // Whether there is room for the answer of sd-bus, as far as it has come.
    bool has_room() const noexcept {
        return caller_.empty() || unread_.fits(properties_size_ + listed_size_);
    }
    Result<void> send_answer(const Message& call, const Message& reply);

    std::function<void(const Error&)> on_disconnect;
    std::unordered_set<std::shared_ptr<PendingCall>> calls;
    // Unique names are never used twice on one bus, so an answer stays right.
    std::unordered_map<std::string, uid_t> uids;

  private:
    static constexpr std::size_t around_listed = 40; // as an element of XML

    void refuse(sd_bus_message* call, const std::string& caller);
    void look();
    static boost::asio::awaitable<void> ask_bus(std::shared_ptr<Connection> self, std::string caller);
    void pump();
    void arm();
    void await_writing();
    void abandon_calls();
    void disconnected(int negative_errno);
    void ended(const Error& why);

    boost::asio::any_io_executor executor_;
    sd_bus* bus_;
    // A duplicate: sd-bus closes its own.
    boost::asio::posix::stream_descriptor descriptor_;
    boost::asio::steady_timer timer_;
    std::optional<std::uint64_t> timer_at_; // CLOCK_MONOTONIC, microseconds
    boost::asio::steady_timer stuck_timer_;
    std::optional<std::chrono::milliseconds> stuck_after_;
    sd_bus_slot* filter_ = nullptr;
    UnreadAnswers unread_;
    std::string caller_; // of the call that sd-bus is answering
    std::size_t listed_size_ = 0;
    std::size_t properties_size_ = 0;
    std::string properties_path_;
    bool reading_ = false;
    bool writing_ = false;
    bool kicked_ = false;
    bool closed_ = false;
};

} // namespace p2prc::dbus::detail
