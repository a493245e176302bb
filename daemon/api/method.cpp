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
    if (type == "a{sv}") return dbus::write_fields(reply, fields, value);
    if (type == "aa{sv}") return dbus::write_field_list(reply, fields, value);
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

// What a caller may send. A process file may hold scripts; a helper reports lists; all else are names.
dbus::CodecLimits limits_for(const dbus::Message& call) {
    const MethodRight* row = find_right(call.interface(), call.member());
    if (row && (row->right == Right::Edge || row->right == Right::Connector)) return {};
    if (call.member().starts_with("SpinProcess")) return {.values = 20000, .bytes = std::size_t{1} << 20U};
    return {.values = 1000, .bytes = std::size_t{64} << 10U};
}

asio::awaitable<Result<dbus::Message>> run(std::shared_ptr<const Binding> binding, dbus::Message call) {
    const dbus::CodecLimits limits = limits_for(call);
    // A call that cannot be read, or is too big to be kept while the bus is asked who calls and somebody
    // looks for a password, is not worth either. What has been read is not kept.
    if (limits.bytes < dbus::CodecLimits().bytes)
        if (const auto readable = dbus::read_body(call, limits); !readable)
            co_return std::unexpected(readable.error());
    Request request;
    auto caller = co_await binding->rights->identify(call);
    if (!caller) co_return std::unexpected(caller.error());
    request.caller = std::move(*caller);
    const auto allowed = co_await binding->rights->permit(call, request.caller);
    if (!allowed) co_return std::unexpected(allowed.error());
    auto arguments = dbus::read_body(call, limits);
    if (!arguments) co_return std::unexpected(arguments.error());
    request.arguments = std::move(*arguments);
    request.message = call;
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
