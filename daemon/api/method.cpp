#include "daemon/api/method.h"

#include "dbus/codec.h"

#include <systemd/sd-bus.h>

#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// What a coroutine of a method needs; it outlives neither the object nor its calls.
struct Binding {
    Authorisation* rights;
    std::vector<dbus::Argument> out;
    RequestHandler handler;
};

Result<void> write(const dbus::Message& reply, const std::string& type, const Json& value,
                   const Answer& answer) {
    const auto fields = answer.fields;
    if (!fields.empty() && type == "a{sv}") return dbus::write_fields(reply, fields, value);
    if (!fields.empty() && type == "aa{sv}") return dbus::write_field_list(reply, fields, value);
    return dbus::write_value(reply, type, value, answer.limits);
}

Result<dbus::Message> reply_with(const dbus::Message& call, const Binding& binding, const Answer& answer) {
    auto reply = call.new_reply();
    if (!reply) return reply;
    std::size_t next = 0;
    for (const dbus::Argument& argument : binding.out) {
        if (argument.type == "h") {
            const int r = sd_bus_message_append(reply->get(), "h", answer.descriptor->get());
            if (r < 0) return std::unexpected(dbus::bus_error("answering with a descriptor", r));
            continue;
        }
        if (const auto written = write(*reply, argument.type, answer.values.at(next++), answer); !written)
            return std::unexpected(written.error());
    }
    return reply;
}

asio::awaitable<Result<dbus::Message>> run(std::shared_ptr<const Binding> binding, dbus::Message call) {
    // Arguments first: a call that cannot be read is not worth anybody's password.
    Request request;
    auto arguments = dbus::read_body(call);
    if (!arguments) co_return std::unexpected(arguments.error());
    request.arguments = std::move(*arguments);
    request.message = call;
    auto caller = co_await binding->rights->check(call);
    if (!caller) co_return std::unexpected(caller.error());
    request.caller = std::move(*caller);
    const auto result = co_await binding->handler(std::move(request));
    if (!result) co_return std::unexpected(result.error());
    co_return reply_with(call, *binding, *result);
}

} // namespace

Answer answer(Json value, std::span<const Field> fields) {
    Answer result;
    result.values.push_back(std::move(value));
    result.fields = fields;
    return result;
}

dbus::Method method(Authorisation& rights, std::string name, std::vector<dbus::Argument> in,
                    std::vector<dbus::Argument> out, RequestHandler handler) {
    auto binding = std::make_shared<const Binding>(Binding{&rights, out, std::move(handler)});
    return {std::move(name), std::move(in), std::move(out),
            [binding](dbus::Message call) { return run(binding, std::move(call)); }};
}

} // namespace p2prc::daemon
