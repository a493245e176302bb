#include "dbus/call.h"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <systemd/sd-bus.h>

#include <functional>
#include <utility>

namespace p2prc::dbus::detail {

namespace asio = boost::asio;

namespace {

// An error reply to a call that never reached the bus, or whose answer cannot come any more.
Message local_error(const Message& call, const char* name, const char* text) {
    sd_bus_message_seal(call.get(), UINT32_MAX, 0); // refused where it is sealed already
    sd_bus_message* reply = nullptr;
    if (sd_bus_message_new_method_errorf(call.get(), &reply, name, "%s", text) < 0) return {};
    sd_bus_message_seal(reply, UINT32_MAX, 0);
    return Message::adopt(reply);
}

class Exchange : public PendingCall, public std::enable_shared_from_this<Exchange> {
  public:
    using Complete = std::move_only_function<void(boost::system::error_code, Message)>;

    Exchange(std::shared_ptr<Connection> connection, Message call, Complete complete)
        : connection_(connection)
        , executor_(connection->executor())
        , call_(std::move(call))
        , complete_(std::move(complete)) {}
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;
    ~Exchange() override { sd_bus_slot_unref(slot_); }

    void start(std::uint64_t timeout) {
        const auto connection = connection_.lock();
        connection->calls.insert(shared_from_this());
        const int r = connection->connected() ? sd_bus_call_async(connection->bus(), &slot_, call_.get(),
                                                                  &Exchange::on_reply, this, timeout)
                                              : -ENOTCONN;
        if (r < 0) {
            const Error error = bus_error("sending on the message bus", r);
            finish({}, local_error(call_,
                                   error.code == ErrorCode::Unreachable
                                       ? "org.freedesktop.DBus.Error.Disconnected"
                                       : "org.freedesktop.DBus.Error.Failed",
                                   error.message.c_str()));
        } else {
            connection->kick();
        }
    }

    void cancel() { finish(asio::error::operation_aborted, {}); }

    void abandon() override {
        finish({}, local_error(call_, "org.freedesktop.DBus.Error.Disconnected",
                               "the connection to the message bus was closed"));
    }

  private:
    static int on_reply(sd_bus_message* reply, void* userdata, sd_bus_error*) noexcept {
        static_cast<Exchange*>(userdata)->finish({}, Message::share(reply));
        return 1;
    }

    // Once. The handler never runs inside sd_bus_process.
    void finish(boost::system::error_code error, Message reply) {
        const auto self = shared_from_this();
        if (!complete_) return;
        slot_ = sd_bus_slot_unref(slot_);
        if (const auto connection = connection_.lock()) connection->calls.erase(self);
        asio::post(executor_, [complete = std::exchange(complete_, {}), error, reply]() mutable {
            complete(error, std::move(reply));
        });
    }

    std::weak_ptr<Connection> connection_;
    asio::any_io_executor executor_;
    Message call_;
    Complete complete_;
    sd_bus_slot* slot_ = nullptr;
};

} // namespace

asio::awaitable<Message> exchange(std::shared_ptr<Connection> connection, Message call,
                                  std::uint64_t timeout_microseconds) {
    auto initiate = [&connection, &call, timeout_microseconds](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        const auto pending = std::make_shared<Exchange>(connection, call, std::move(handler));
        if (slot.is_connected())
            slot.assign([weak = std::weak_ptr(pending)](asio::cancellation_type) {
                if (const auto running = weak.lock()) running->cancel();
            });
        pending->start(timeout_microseconds);
    };
    Message reply = co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                                  void(boost::system::error_code, Message)>(
        initiate, asio::use_awaitable);
    co_return reply;
}

} // namespace p2prc::dbus::detail
