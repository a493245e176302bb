#include "dbus/connection.h"

#include "core/callback.h"
#include "dbus/call.h"
#include "dbus/codec.h"
#include "dbus/limits.h"
#include "dbus/names.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <systemd/sd-bus.h>

#include <chrono>
#include <utility>

namespace p2prc::dbus::detail {

namespace asio = boost::asio;

// Messages handled in one turn, so that a flood on the bus starves nothing else on the loop.
constexpr int messages_a_turn = 64;

// More than the header of an answer, or a whole error.
constexpr std::size_t around_answer = 1024;
// More than the XML of one object's interfaces.
constexpr std::size_t introspection = std::size_t{16} << 10U;

int on_call(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    // A call that cannot be counted is served.
    return guard_callback("counting what callers have unread", 0, [&] {
        if (sd_bus_message_is_method_call(message, nullptr, nullptr) <= 0) return 0;
        return static_cast<Connection*>(userdata)->admit(message) ? 0 : 1;
    });
}

// The bus takes these from the edge and the connector alone (the policy that is installed), which read what
// they ask for. They wait for an answer as long as it takes, so whoever fills the room of others must not
// cost them theirs.
bool is_of_helper(sd_bus_message* call) {
    const char* found = sd_bus_message_get_interface(call);
    const std::string_view interface = found ? found : "";
    return interface == names::edge_interface || interface == names::connector_interface;
}

// What the bus holds for `name`; nothing: it does not tell anybody, or not us. The statistics are an
// interface of dbus-daemon alone, for root. dbus-broker limits by itself what programs leave unread.
std::optional<std::size_t> queued_for(const Message& reply, std::size_t otherwise) {
    if (!reply) return otherwise;
    if (!reply.is_error()) {
        const auto statistics = read_value(reply);
        if (!statistics) return std::nullopt;
        const auto bytes = statistics->find("OutgoingBytes");
        if (bytes == statistics->end() || !bytes->is_number_unsigned()) return std::nullopt;
        return bytes->get<std::size_t>();
    }
    const std::string error = reply.error_name();
    if (error == "org.freedesktop.DBus.Error.NameHasNoOwner") return 0;
    if (error == "org.freedesktop.DBus.Error.UnknownMethod" ||
        error == "org.freedesktop.DBus.Error.UnknownInterface" ||
        error == "org.freedesktop.DBus.Error.UnknownObject" ||
        error == "org.freedesktop.DBus.Error.NotSupported" ||
        error == "org.freedesktop.DBus.Error.AccessDenied")
        return std::nullopt;
    return otherwise;
}

Connection::Connection(asio::any_io_executor executor, sd_bus* bus, int duplicated_fd)
    : executor_(std::move(executor))
    , bus_(bus)
    , descriptor_(executor_, duplicated_fd)
    , timer_(executor_)
    , stuck_timer_(executor_) {}

Connection::~Connection() {
    sd_bus_slot_unref(filter_);
    sd_bus_close_unref(bus_);
}

void Connection::close() {
    if (std::exchange(closed_, true)) return;
    on_disconnect = nullptr;
    boost::system::error_code ignored;
    timer_.cancel();
    stuck_timer_.cancel();
    // What is queued goes out, but only on a connection that is up: before that the flush would wait for it.
    if (sd_bus_is_ready(bus_) > 0) sd_bus_flush(bus_);
    sd_bus_close(bus_);
    descriptor_.close(ignored); // the socket stays open until both descriptors are closed
    abandon_calls();
}

void Connection::abandon_calls() {
    for (const auto& call : std::exchange(calls, {}))
        call->abandon();
}

void Connection::kick() {
    if (kicked_ || closed_) return;
    kicked_ = true;
    asio::post(executor_, [self = shared_from_this()] {
        self->kicked_ = false;
        self->pump();
    });
}

Result<void> Connection::send(const Message& message) {
    if (closed_) return std::unexpected(bus_error("sending on the message bus", -ENOTCONN));
    const int r = sd_bus_send(bus_, message.get(), nullptr);
    if (r < 0) return std::unexpected(bus_error("sending on the message bus", r));
    kick();
    return {};
}

bool Connection::add_property(const std::string& path, const std::string& name, const std::string& type,
                              std::size_t value) {
    // An entry of a{oa{sa{sv}}} with one interface of ours and the three that all objects have, and one of
    // a{sv}, with their lengths and what aligns them.
    constexpr std::size_t around_object = 200;
    constexpr std::size_t around_property = 16;
    if (properties_size_ == 0 || path != properties_path_) {
        properties_path_ = path;
        properties_size_ += around_object + path.size();
    }
    properties_size_ += around_property + name.size() + type.size() + value;
    return properties_size_ <= largest_message;
}

Result<void> Connection::limit_unread() {
    if (filter_) return {};
    const int r = sd_bus_add_filter(bus_, &filter_, &on_call, this);
    if (r < 0) return std::unexpected(bus_error("counting what callers have unread", r));
    return {};
}

bool Connection::admit(sd_bus_message* call) {
    const char* sender = sd_bus_message_get_sender(call);
    if (!sender || is_of_helper(call)) return true;
    const std::string caller = sender;
    if (unread_.verdict(caller) != UnreadAnswers::Verdict::Serve) {
        refuse(call, caller);
        return false;
    }
    look();
    if (sd_bus_message_get_expect_reply(call) <= 0) return true;
    caller_ = caller;
    const char* member = sd_bus_message_get_member(call);
    listed_size_ = member && std::string_view(member) == "Introspect" ? introspection : 0;
    return true;
}

// Words, too, take up room: who does not read them hears nothing in the end, and the bus passes on no more
// than a few of its calls (max_replies_per_connection).
void Connection::refuse(sd_bus_message* call, const std::string& caller) {
    if (unread_.verdict(caller) != UnreadAnswers::Verdict::Ignore &&
        sd_bus_message_get_expect_reply(call) > 0) {
        sd_bus_reply_method_errorf(call, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                   "there are too many answers that are not read; read them, then ask again");
        unread_.refused(caller, around_answer);
    }
    look();
    kick();
}

Result<void> Connection::send_answer(const Message& call, const Message& reply) {
    const std::string caller = call.sender();
    const std::size_t bytes = around_answer + reply.grow(1, 0);
    const bool counted = filter_ && !caller.empty() && !is_of_helper(call.get());
    if (counted) {
        if (unread_.verdict(caller) != UnreadAnswers::Verdict::Serve || !unread_.fits(bytes)) {
            refuse(call.get(), caller);
            return {};
        }
    }
    if (const auto sent = send(reply); !sent) return sent;
    if (counted) unread_.sent(caller, bytes);
    look(); // behind the answer, which the bus then counts
    return {};
}

void Connection::look() {
    if (closed_) return;
    while (const auto caller = unread_.next_look())
        asio::co_spawn(executor_, ask_bus(shared_from_this(), *caller), asio::detached);
}

asio::awaitable<void> Connection::ask_bus(std::shared_ptr<Connection> self, std::string caller) {
    constexpr std::size_t unknown = SIZE_MAX;
    constexpr std::uint64_t timeout = 25'000'000; // microseconds
    constexpr const char* bus_name = "org.freedesktop.DBus";
    sd_bus_message* made = nullptr;
    std::optional<std::size_t> queued = unknown;
    if (sd_bus_message_new_method_call(self->bus_, &made, bus_name, "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus.Debug.Stats", "GetConnectionStats") >= 0) {
        Message call = Message::adopt(made);
        sd_bus_message_append(made, "s", caller.c_str());
        const Message reply = co_await exchange(self, std::move(call), timeout);
        queued = queued_for(reply, unknown);
    }
    if (!queued) {
        self->unread_.give_up();
        co_return;
    }
    self->unread_.looked(caller, *queued);
    self->look();
}

void Connection::pump() {
    for (int turn = 0; turn < messages_a_turn; ++turn) {
        if (closed_) return;
        begin_properties();
        caller_.clear();
        const int r = sd_bus_process(bus_, nullptr);
        if (!caller_.empty()) {
            unread_.sent(caller_, around_answer + properties_size_ + std::exchange(listed_size_, 0));
            caller_.clear();
            look();
        }
        if (r < 0) return disconnected(r);
        if (r == 0) return arm();
    }
    kick();
}

// sd_bus_get_events and sd_bus_get_timeout are asked before every sleep, as sd-event does.
void Connection::arm() {
    const int events = sd_bus_get_events(bus_);
    if (events < 0) return disconnected(events);
    if ((events & POLLIN) && !reading_) {
        reading_ = true;
        descriptor_.async_wait(descriptor_.wait_read, [self = shared_from_this()](boost::system::error_code) {
            self->reading_ = false;
            self->pump();
        });
    }
    if ((events & POLLOUT) && !writing_) {
        await_writing();
    }
    std::uint64_t at = UINT64_MAX;
    const int r = sd_bus_get_timeout(bus_, &at);
    if (r < 0) return disconnected(r);
    if (at == 0) return kick();
    if (at == UINT64_MAX) {
        if (std::exchange(timer_at_, std::nullopt)) timer_.cancel();
        return;
    }
    if (timer_at_ == at) return;
    timer_at_ = at;
    // Absolute on CLOCK_MONOTONIC, which is libstdc++'s steady_clock.
    timer_.expires_at(std::chrono::steady_clock::time_point(std::chrono::microseconds(at)));
    timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
        if (error) return; // another time was set
        self->timer_at_.reset();
        self->pump();
    });
}

// Only once the socket is full.
void Connection::await_writing() {
    writing_ = true;
    descriptor_.async_wait(descriptor_.wait_write, [self = shared_from_this()](boost::system::error_code) {
        self->writing_ = false;
        self->stuck_timer_.cancel();
        self->pump();
    });
    if (!stuck_after_) return;
    stuck_timer_.expires_after(*stuck_after_);
    stuck_timer_.async_wait([self = shared_from_this()](boost::system::error_code error) {
        // It may have been cancelled, or set again, too late for this call.
        if (error || !self->writing_ || self->stuck_timer_.expiry() > std::chrono::steady_clock::now())
            return;
        self->ended({ErrorCode::Unreachable, "the message bus takes no more messages", ""});
    });
}

void Connection::disconnected(int negative_errno) {
    ended(bus_error("the connection to the message bus ended", negative_errno));
}

void Connection::ended(const Error& why) {
    if (std::exchange(closed_, true)) return;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    timer_.cancel();
    stuck_timer_.cancel();
    abandon_calls();
    const auto handler = std::exchange(on_disconnect, nullptr);
    if (handler) handler(why);
}

} // namespace p2prc::dbus::detail
