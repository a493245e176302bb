#include "cli/daemon.h"

#include "dbus/bus.h"
#include "dbus/client.h"
#include "dbus/codec.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <systemd/sd-bus.h>

#include <cerrno>
#include <optional>

namespace p2prc::cli {
namespace {

constexpr const char* service = "org.p2prc1";
constexpr const char* object = "/org/p2prc1";
constexpr const char* interface = "org.p2prc1.Manager";

Result<void> append(const dbus::Message& message, const Argument& argument) {
    if (argument.fields.empty()) return dbus::write_value(message, argument.type, argument.value);
    return dbus::write_fields(message, argument.fields, argument.value);
}

// What a person can do about an error that has no hint of its own.
Error with_hint(Error error) {
    if (!error.hint.empty()) return error;
    if (error.code == ErrorCode::Unreachable) error.hint = "is the daemon there? systemctl status p2prcd";
    if (error.code == ErrorCode::NotPermitted) error.hint = "run it with sudo";
    return error;
}

} // namespace

struct Daemon::Impl {
    boost::asio::io_context loop;
    std::unique_ptr<dbus::Bus> bus;

    Result<dbus::Message> exchange(const std::string& method, const std::vector<Argument>& arguments) {
        auto message = bus->new_call(service, object, interface, method);
        if (!message) return std::unexpected(message.error());
        for (const auto& argument : arguments)
            if (auto appended = append(*message, argument); !appended)
                return std::unexpected(appended.error());
        // Whoever sits at the terminal may be asked for a password by polkit's agent.
        sd_bus_message_set_allow_interactive_authorization(message->get(), 1);
        std::optional<Result<dbus::Message>> reply;
        loop.restart();
        boost::asio::co_spawn(loop, wait(*bus, std::move(*message), reply), boost::asio::detached);
        while (!reply)
            loop.run_one();
        return std::move(*reply);
    }

    static boost::asio::awaitable<void> wait(dbus::Bus& bus, dbus::Message message,
                                             std::optional<Result<dbus::Message>>& reply) {
        // It tells a daemon that is not there, and cannot be started, from one that refuses.
        const dbus::Caller caller(bus, true, true);
        auto answer = co_await caller.send(std::move(message));
        reply.emplace(std::move(answer));
    }
};

Daemon::Daemon(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Daemon::Daemon(Daemon&&) noexcept = default;
Daemon& Daemon::operator=(Daemon&&) noexcept = default;
Daemon::~Daemon() = default;

Result<Daemon> Daemon::connect() {
    auto impl = std::make_unique<Impl>();
    auto bus = dbus::Bus::open_system(impl->loop.get_executor());
    if (!bus)
        return fail(ErrorCode::Unreachable,
                    "the system's message bus does not answer: " + bus.error().message,
                    "systemctl status dbus");
    impl->bus = std::move(*bus);
    return Daemon(std::move(impl));
}

Result<Json> Daemon::call(const std::string& method, std::vector<Argument> arguments) {
    auto reply = impl_->exchange(method, arguments);
    if (!reply) return std::unexpected(with_hint(reply.error()));
    auto body = dbus::read_body(*reply);
    if (!body) return std::unexpected(body.error());
    return body->empty() ? Json(nullptr) : std::move(body->front());
}

Result<net::UniqueFd> Daemon::logs(const std::string& process, std::uint32_t lines, bool follow) {
    auto reply = impl_->exchange("Logs", {{"s", process}, {"u", lines}, {"b", follow}});
    if (!reply) return std::unexpected(with_hint(reply.error()));
    int borrowed = -1;
    if (sd_bus_message_read(reply->get(), "h", &borrowed) < 0)
        return fail(ErrorCode::Failed, "the daemon answered without a stream");
    // The message owns its descriptors.
    net::UniqueFd stream(fcntl(borrowed, F_DUPFD_CLOEXEC, 3));
    if (!stream) return std::unexpected(system_error("the log's stream", errno));
    return stream;
}

} // namespace p2prc::cli
