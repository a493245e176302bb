#include "daemon/api/method.h"

#include "core/text.h"
#include "daemon/api/details.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "net/memory.h"

#include <boost/asio/this_coro.hpp>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// A list of thousands. The loop waits while memory is given back, so not for what anybody asks for all the
// time.
constexpr std::size_t large_answer = std::size_t{1} << 20U;

constexpr const char* options_name = "options";

// What a coroutine of a method needs; it outlives neither the object nor its calls.
struct Binding {
    MethodContext context;
    const MethodInfo* info;
    std::vector<dbus::Argument> in;
    std::vector<dbus::Argument> out;
    std::vector<dbus::Argument> options;
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
        const auto written = answer.rows ? dbus::write_field_list(*reply, answer.fields, answer.rows)
                                         : write(*reply, argument.type, answer.values.at(next++), answer);
        if (!written) return std::unexpected(written.error());
    }
    return reply;
}

// What a caller may send. A process file may hold scripts; a helper reports lists; all else are names.
dbus::CodecLimits limits_for(const MethodInfo& info) {
    if (info.permission.right == Right::Edge || info.permission.right == Right::Connector) return {};
    if (info.in.starts_with("a{sv} spec")) return {.values = 20000, .bytes = std::size_t{1} << 20U};
    return {.values = 1000, .bytes = std::size_t{64} << 10U};
}

// An option that is not known is a mistake, which must not pass in silence.
Result<void> check_options(const Binding& binding, const Json& options) {
    for (const auto& [key, value] : options.items()) {
        const auto known = std::ranges::find(binding.options, key, &dbus::Argument::name);
        if (known == binding.options.end()) {
            std::string names;
            for (const dbus::Argument& option : binding.options)
                (names += names.empty() ? "" : ", ") += option.name;
            return fail(ErrorCode::InvalidSpec, "there is no option '" + text::excerpt(key) + "'",
                        names.empty() ? std::string(binding.info->member) + " has no options in this version"
                                      : "the options are " + names);
        }
        if (!dbus::fits(known->type, value))
            return fail(ErrorCode::InvalidSpec, "option '" + key + "' has a value of a wrong type",
                        "its D-Bus type is " + known->type);
    }
    return {};
}

// Of /org/p2prc1/process/7 the argument process, "7".
void name_object(Json& arguments, const std::string& path) {
    const auto slash = path.rfind('/');
    const std::string prefix = path.substr(0, slash);
    const std::string root = std::string(dbus::names::root_path) + "/";
    if (prefix.starts_with(root)) arguments[prefix.substr(root.size())] = dbus::path_decode(prefix, path);
}

Result<Json> named_arguments(const Binding& binding, const dbus::Message& call,
                             const dbus::CodecLimits& limits) {
    auto body = dbus::read_body(call, limits);
    if (!body) return body;
    Json arguments = Json::object();
    for (std::size_t i = 0; i < binding.in.size(); ++i)
        arguments[binding.in[i].name] = std::move(body->at(i));
    name_object(arguments, call.path());
    if (const auto options = arguments.find(options_name); options != arguments.end())
        if (const auto known = check_options(binding, *options); !known)
            return std::unexpected(known.error());
    return arguments;
}

asio::awaitable<Result<dbus::Message>> run(std::shared_ptr<const Binding> binding, dbus::Message call) {
    const MethodInfo& info = *binding->info;
    const dbus::CodecLimits limits = limits_for(info);
    PolkitDetails details;
    // A call that cannot be read, or is too big to be kept while the bus is asked who calls and somebody
    // looks for a password, is not worth either. What has been read is not kept.
    if (info.permission.right == Right::Open || info.permission.right == Right::Polkit) {
        const auto readable = named_arguments(*binding, call, limits);
        if (!readable) co_return std::unexpected(readable.error());
        details = details_of(info, *readable, binding->context.view);
    }
    Request request;
    auto caller = co_await binding->context.rights.identify(call, info.permission);
    if (!caller) co_return std::unexpected(caller.error());
    request.caller = std::move(*caller);
    const auto allowed =
        co_await binding->context.rights.permit(call, request.caller, info.permission, std::move(details));
    if (!allowed) co_return std::unexpected(allowed.error());
    auto arguments = named_arguments(*binding, call, limits);
    if (!arguments) co_return std::unexpected(arguments.error());
    request.arguments = std::move(*arguments);
    if (const auto options = request.arguments.find(options_name); options != request.arguments.end())
        request.options = std::move(*options);
    request.message = call;
    const auto result = co_await binding->handler(std::move(request));
    if (!result) co_return std::unexpected(result.error());
    auto reply = reply_with(call, *binding, *result);
    if (reply && reply->grow(1, 0) >= large_answer)
        net::release_memory_soon(co_await asio::this_coro::executor);
    co_return reply;
}

} // namespace

const Json& Request::value(std::string_view name) const {
    static const Json nothing;
    for (const Json* object : {&arguments, &options})
        if (const auto found = object->find(name); found != object->end()) return *found;
    return nothing;
}

std::string Request::text(std::string_view name) const {
    const Json& found = value(name);
    return found.is_string() ? found.get<std::string>() : std::string();
}

Answer answer(Json value, std::span<const Field> fields) {
    Answer result;
    result.values.push_back(std::move(value));
    result.fields = fields;
    return result;
}

std::vector<dbus::Argument> read_arguments(std::string_view text) {
    std::vector<dbus::Argument> arguments;
    while (!text.empty()) {
        const auto end = std::min(text.find(", "), text.size());
        const auto space = text.find(' ');
        arguments.push_back(
            {std::string(text.substr(0, space)), std::string(text.substr(space + 1, end - space - 1))});
        text.remove_prefix(std::min(end + 2, text.size()));
    }
    return arguments;
}

dbus::Method method(const MethodContext& context, const MethodInfo& info, RequestHandler handler) {
    auto binding = std::make_shared<const Binding>(Binding{context, &info, read_arguments(info.in),
                                                           read_arguments(info.out),
                                                           read_arguments(info.options), std::move(handler)});
    return {std::string(info.member), binding->in, binding->out,
            [binding](dbus::Message call) { return run(binding, std::move(call)); }};
}

} // namespace p2prc::daemon
