#include "cli/daemon.h"

#include "dbus/client.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "dbus/session.h"

#include <fcntl.h>
#include <systemd/sd-bus.h>

#include <cerrno>

namespace p2prc::cli {
namespace {

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

Daemon::Daemon() = default;
Daemon::~Daemon() = default;

Result<dbus::Message> Daemon::exchange(const std::string& method, const std::vector<Argument>& arguments) {
    if (!session_) {
        auto session = dbus::Session::open();
        if (!session)
            return fail(ErrorCode::Unreachable,
                        "the system's message bus does not answer: " + session.error().message,
                        "systemctl status dbus");
        session_ = std::move(*session);
    }
    // Whoever sits at the terminal may be asked for a password by polkit's agent.
    const dbus::Caller caller(session_->bus(), true, true);
    auto message = caller.make(dbus::names::root_path, dbus::names::manager_interface, method.c_str());
    if (!message) return message;
    for (const auto& argument : arguments)
        if (auto appended = append(*message, argument); !appended) return std::unexpected(appended.error());
    return session_->run(caller.send(std::move(*message)));
}

Result<Json> Daemon::call(const std::string& method, std::vector<Argument> arguments) {
    auto reply = exchange(method, arguments);
    if (!reply) return std::unexpected(with_hint(reply.error()));
    auto body = dbus::read_body(*reply);
    if (!body) return std::unexpected(body.error());
    return body->empty() ? Json(nullptr) : std::move(body->front());
}

Result<net::UniqueFd> Daemon::logs(const std::string& process, std::uint32_t lines, bool follow) {
    auto reply = exchange("Logs", {{"s", process}, {"u", lines}, {"b", follow}});
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
