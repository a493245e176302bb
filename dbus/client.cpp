#include "dbus/client.h"

#include "dbus/codec.h"
#include "dbus/names.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

namespace p2prc::dbus {

namespace {

Error unexpected_answer(const char* member) {
    return Error{ErrorCode::Failed,
                 std::string("p2prcd answered ") + member + " in a form of another version",
                 "install the same version of p2prc and p2prcd"};
}

} // namespace

Client::Client(Bus& bus, bool interactive, std::function<void()> before_work)
    : caller_(bus, interactive, true)
    , before_work_(std::move(before_work)) {}

Answer<Message> Client::send_work(Message call) {
    if (before_work_) before_work_();
    co_return co_await caller_.send(std::move(call), to_work);
}

Answer<Json> Client::manager(const char* member, std::string signature, Arguments arguments,
                             std::chrono::microseconds timeout) {
    if (timeout == to_work && before_work_) before_work_();
    return caller_.invoke(names::root_path, names::manager_interface, member, std::move(signature),
                          Json(std::move(arguments)), {.timeout = timeout, .exact = true});
}

Answer<Json> Client::first(const char* member, std::string signature, Arguments arguments,
                           std::chrono::microseconds timeout) {
    auto body = co_await manager(member, std::move(signature), std::move(arguments), timeout);
    if (!body) co_return body;
    if (body->empty()) co_return std::unexpected(unexpected_answer(member));
    Json value = std::move((*body)[0]);
    co_return value;
}

Answer<std::string> Client::text(const char* member, std::string signature, Arguments arguments,
                                 std::chrono::microseconds timeout) {
    auto value = co_await first(member, std::move(signature), std::move(arguments), timeout);
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_string()) co_return std::unexpected(unexpected_answer(member));
    co_return value->get<std::string>();
}

Answer<void> Client::work(const char* member, std::string signature, Arguments arguments) {
    auto body = co_await manager(member, std::move(signature), std::move(arguments), to_work);
    if (!body) co_return std::unexpected(body.error());
    co_return Result<void>{};
}

Answer<Json> Client::send_spec(const char* member, Json spec, std::string node, std::optional<Json> options) {
    auto call = caller_.make(names::root_path, names::manager_interface, member);
    if (!call) co_return std::unexpected(call.error());
    if (const auto written = write_spec(*call, spec); !written) co_return std::unexpected(written.error());
    if (const auto written = write_value(*call, "s", node, {.exact = true}); !written)
        co_return std::unexpected(written.error());
    if (options)
        if (const auto written = write_dictionary(*call, *options); !written)
            co_return std::unexpected(written.error());
    auto reply = co_await send_work(*call);
    if (!reply) co_return std::unexpected(reply.error());
    co_return read_value(*reply, answer_limits);
}

Answer<std::string> Client::send_spin(const char* member, Json spec, std::string node,
                                      std::optional<Json> options) {
    auto path = co_await send_spec(member, std::move(spec), std::move(node), std::move(options));
    if (!path) co_return std::unexpected(path.error());
    if (!path->is_string()) co_return std::unexpected(unexpected_answer(member));
    co_return path->get<std::string>();
}

Answer<Json> Client::explain_spin(Json spec, std::string node) {
    auto explanation = co_await send_spec("ExplainSpin", std::move(spec), std::move(node), Json::object());
    if (explanation && !explanation->is_object()) co_return std::unexpected(unexpected_answer("ExplainSpin"));
    co_return explanation;
}

Answer<std::string> Client::spin(Json spec, std::string node) {
    return send_spin("SpinProcess", std::move(spec), std::move(node), std::nullopt);
}

Answer<std::string> Client::spin_with(Json spec, std::string node, Json options) {
    return send_spin("SpinProcessWithOptions", std::move(spec), std::move(node), std::move(options));
}

Answer<std::uint32_t> Client::roll_back(std::string process, std::uint32_t revision, Json options) {
    Arguments arguments;
    arguments.emplace_back(std::move(process));
    arguments.emplace_back(revision);
    arguments.push_back(std::move(options));
    auto value = co_await first("RollbackProcessWithOptions", "sua{sv}", std::move(arguments), to_work);
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_number_unsigned()) co_return std::unexpected(unexpected_answer("RollbackProcess"));
    co_return value->get<std::uint32_t>();
}

Answer<std::uint32_t> Client::redeploy(std::string process, Json options) {
    Arguments arguments;
    arguments.emplace_back(std::move(process));
    arguments.push_back(std::move(options));
    auto value = co_await first("RedeployProcessWithOptions", "sa{sv}", std::move(arguments), to_work);
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_number_unsigned()) co_return std::unexpected(unexpected_answer("RedeployProcess"));
    co_return value->get<std::uint32_t>();
}

Answer<int> Client::logs(std::string process, std::uint32_t lines, bool follow, bool deploy) {
    auto call = caller_.make(names::root_path, names::manager_interface, deploy ? "LogsWithOptions" : "Logs");
    if (!call) co_return std::unexpected(call.error());
    const int follows = follow ? 1 : 0;
    const int r = deploy ? sd_bus_message_append(call->get(), "sa{sv}", process.c_str(), 3, "lines", "u",
                                                 lines, "follow", "b", follows, "deploy", "b", 1)
                         : sd_bus_message_append(call->get(), "sub", process.c_str(), lines, follows);
    if (r < 0) co_return std::unexpected(bus_error("asking for logs", r));
    auto reply = co_await send_work(*call);
    if (!reply) co_return std::unexpected(reply.error());
    int theirs = -1;
    if (sd_bus_message_read(reply->get(), "h", &theirs) <= 0)
        co_return std::unexpected(unexpected_answer("Logs"));
    const int fd = fcntl(theirs, F_DUPFD_CLOEXEC, 3); // the message closes its own
    if (fd < 0) co_return std::unexpected(system_error("taking over the stream of logs", errno));
    co_return fd;
}

Answer<Json> Client::property(const char* name) {
    const Json arguments = Json::array({names::manager_interface, name});
    auto body = co_await caller_.invoke(names::root_path, "org.freedesktop.DBus.Properties", "Get", "ss",
                                        arguments, {.timeout = to_read});
    if (!body) co_return std::unexpected(body.error());
    if (body->empty()) co_return std::unexpected(unexpected_answer(name));
    co_return std::move((*body)[0]);
}

Answer<std::string> Client::version() {
    auto value = co_await property("Version");
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_string()) co_return std::unexpected(unexpected_answer("Version"));
    co_return value->get<std::string>();
}

Answer<bool> Client::reachable() {
    auto value = co_await property("Reachable");
    if (!value) co_return std::unexpected(value.error());
    if (!value->is_boolean()) co_return std::unexpected(unexpected_answer("Reachable"));
    co_return value->get<bool>();
}

} // namespace p2prc::dbus
