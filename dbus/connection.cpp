#include "dbus/connection.h"

#include "dbus/limits.h"

#include <boost/asio/post.hpp>
#include <poll.h>
#include <systemd/sd-bus.h>

#include <chrono>
#include <utility>

namespace p2prc::dbus::detail {

namespace asio = boost::asio;

// Messages handled in one turn, so that a flood on the bus starves nothing else on the loop.
constexpr int messages_a_turn = 64;

Connection::Connection(asio::any_io_executor executor, sd_bus* bus, int duplicated_fd)
    : executor_(std::move(executor))
    , bus_(bus)
    , descriptor_(executor_, duplicated_fd)
    , timer_(executor_) {}

Connection::~Connection() {
    sd_bus_close_unref(bus_);
}

void Connection::close() {
    if (std::exchange(closed_, true)) return;
    on_disconnect = nullptr;
    boost::system::error_code ignored;
    timer_.cancel();
    // What is queued goes out, but only on a connection that is up: before that the flush would wait for it.
    if (sd_bus_is_ready(bus_) > 0) sd_bus_flush(bus_);
    sd_bus_close(bus_);
    descriptor_.close(ignored); // the socket stays open until both descriptors are closed
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

void Connection::pump() {
    for (int turn = 0; turn < messages_a_turn; ++turn) {
        if (closed_) return;
        begin_properties();
        const int r = sd_bus_process(bus_, nullptr);
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
        writing_ = true;
        descriptor_.async_wait(descriptor_.wait_write,
                               [self = shared_from_this()](boost::system::error_code) {
                                   self->writing_ = false;
                                   self->pump();
                               });
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

void Connection::disconnected(int negative_errno) {
    if (std::exchange(closed_, true)) return;
    boost::system::error_code ignored;
    descriptor_.close(ignored);
    timer_.cancel();
    const auto handler = std::exchange(on_disconnect, nullptr);
    if (handler) handler(bus_error("the connection to the message bus ended", negative_errno));
}

} // namespace p2prc::dbus::detail
