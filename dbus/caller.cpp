#include "dbus/client.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "dbus/signature.h"
#include "dbus/systemd_names.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <utility>

namespace p2prc::dbus {

namespace asio = boost::asio;

Result<Message> Caller::make(const char* path, const char* interface, const char* member) const {
    auto call = bus_->new_call(names::service, path, interface, member);
    if (!call) return call;
    sd_bus_message_set_allow_interactive_authorization(call->get(), interactive_ ? 1 : 0);
    sd_bus_message_set_auto_start(call->get(), activate_ ? 1 : 0);
    return call;
}

namespace {

// The reply, or what an error reply means of p2prcd. The call was sent at `start`.
Result<Message> checked(Message reply, std::chrono::steady_clock::time_point start,
                        std::chrono::microseconds timeout) {
    if (!reply) return fail(ErrorCode::Unreachable, "p2prcd gave no answer");
    if (!reply.is_error()) return reply;
    const std::string name = reply.error_name();
    // systemd 252 answers for a masked unit with FileExists, as its file is a link to /dev/null.
    if (name == "org.freedesktop.DBus.Error.FileExists" || name == systemd::unit_masked)
        return fail(ErrorCode::Unreachable, "p2prcd is masked",
                    "unmask it: systemctl unmask p2prcd, or with --runtime where it was masked with that; "
                    "then systemctl start p2prcd");
    if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
        name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
        name.starts_with("org.freedesktop.DBus.Error.Spawn") || name.starts_with("org.freedesktop.systemd1."))
        return fail(ErrorCode::Unreachable, "p2prcd is not running",
                    "start it: systemctl start p2prcd; journalctl -u p2prcd says why it stopped");
    Error error = reply.to_error();
    // The bus says the same of a p2prcd that went away as sd-bus of one that is silent.
    // In the unit of the timeout, as `no_timeout` does not fit a smaller one.
    const auto waited =
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    if (name == "org.freedesktop.DBus.Error.NoReply" && waited >= timeout)
        error = Error{ErrorCode::Unreachable,
                      "p2prcd has not answered for " +
                          std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout).count()) +
                          " seconds",
                      "see journalctl -u p2prcd"};
    else if (name == "org.freedesktop.DBus.Error.NoReply" ||
             name == "org.freedesktop.DBus.Error.Disconnected")
        error = Error{ErrorCode::Unreachable, "p2prcd went away before it answered",
                      "journalctl -u p2prcd says why; then try again"};
    return std::unexpected(error);
}

} // namespace

asio::awaitable<Result<Message>> Caller::send(Message call, std::chrono::microseconds timeout) const {
    const auto start = std::chrono::steady_clock::now();
    Message reply = co_await bus_->exchange(std::move(call), timeout);
    co_return checked(std::move(reply), start, timeout);
}

asio::awaitable<Result<Json>> Caller::invoke(const char* path, const char* interface, const char* member,
                                             std::string signature, Json arguments, Options options) const {
    auto call = make(path, interface, member);
    if (!call) co_return std::unexpected(call.error());
    std::string_view rest = signature;
    for (const Json& argument : arguments) {
        const std::string_view type = first_type(rest);
        const auto written = write_value(*call, type, argument, {.exact = options.exact});
        if (!written) co_return std::unexpected(written.error());
        rest.remove_prefix(type.size());
    }
    const auto start = std::chrono::steady_clock::now();
    Message answer = co_await bus_->exchange(*call, options.timeout);
    if (options.former_path && answer.error_name() == "org.freedesktop.DBus.Error.UnknownObject") {
        const char* former = std::exchange(options.former_path, nullptr);
        co_return co_await invoke(former, interface, member, std::move(signature), std::move(arguments),
                                  options);
    }
    auto reply = checked(std::move(answer), start, options.timeout);
    if (!reply) co_return std::unexpected(reply.error());
    co_return read_body(*reply, options.answer);
}

} // namespace p2prc::dbus
