#include "daemon/api/fleet_methods.h"

#include "core/drain.h"
#include "core/json_members.h"
#include "daemon/api/documents.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <optional>
#include <utility>

namespace p2prc::daemon {

std::span<const MethodRow<FleetMethods>> FleetMethods::rows() noexcept {
    using permission::open;
    using Self = FleetMethods;
    static constexpr Permission manage = permission::manage_fleet;
    static constexpr auto table = std::to_array<MethodRow<Self>>({
        {{"Manager", "ListNodes", "", "aa{sv} nodes", open}, &Self::nodes},
        {{"Manager", "GetNode", "s node", "o object", open}, &Self::object},
        {{"Manager", "RemoveNode", "s node", "", manage, "remove"}, &Self::remove_node},
        {{"Manager", "RemoveNodeWithOptions", "s node, a{sv} options", "", manage, "remove"},
         &Self::remove_node},
        {{"Manager", "LabelNode", "s node, a{ss} set, as remove, a{sv} options", "", manage, "label"},
         &Self::label_node},
        {{"Manager", "SetNodeCustom", "s node, a{ss} custom, a{sv} options", "", manage, "describe"},
         &Self::describe_node},
        {{"Manager", "DrainNode", "s node, a{sv} options", "aa{sv} processes", manage, "drain",
          "b dry_run, t deadline_seconds"},
         &Self::drain_node},
        {{"Manager", "ResumeNode", "s node, a{sv} options", "aa{sv} processes", manage, "resume"},
         &Self::resume_node},
        {{"Manager", "Init", "a{sv} options", "a{sv} result", manage, "init",
          "s name, s domain, as public_ips, s acme"},
         &Self::init},
        {{"Manager", "Invite", "a{sv} options", "a{sv} invitation", manage, "invite",
          "s role, t expires_seconds"},
         &Self::invite},
        {{"Manager", "Join", "s token, s name", "a{sv} result", manage, "join"}, &Self::join},
        {{"Manager", "JoinWithOptions", "s token, a{sv} options", "a{sv} result", manage, "join", "s name"},
         &Self::join},
        {{"Manager", "Leave", "b force", "", manage, "leave"}, &Self::leave},
        {{"Manager", "LeaveWithOptions", "a{sv} options", "", manage, "leave", "b force"}, &Self::leave},
        {{"Manager", "FleetCertificate", "", "s pem", open}, &Self::certificate},
        {{"Manager", "Status", "", "a{sv} status", open}, &Self::status},
        {{"Manager", "Facts", "", "a{sv} facts", open}, &Self::facts},
        {{"Node", "Remove", "", "", manage, "remove"}, &Self::remove_node},
        {{"Node", "RemoveWithOptions", "a{sv} options", "", manage, "remove"}, &Self::remove_node},
    });
    return table;
}

Reply FleetMethods::nodes(Request) {
    co_return answer(node_rows(services_.view), node_fields());
}

Reply FleetMethods::object(Request request) {
    const std::string name = request.text("node");
    if (!services_.view.node_record(name))
        co_return fail(ErrorCode::NotFound, "there is no node '" + name + "'",
                       "'p2prc nodes' lists all nodes");
    services_.before_path();
    co_return answer(node_path(name));
}

Reply FleetMethods::remove_node(Request request) {
    const auto done =
        co_await services_.fleet.remove_node(request.text("node"), services_.actions.by(request.caller.user));
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply FleetMethods::label_node(Request request) {
    const auto done = co_await services_.actions.label_node(request.text("node"), request.value("set"),
                                                            request.value("remove"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply FleetMethods::describe_node(Request request) {
    const auto done = co_await services_.actions.describe_node(request.text("node"), request.value("custom"),
                                                               request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply FleetMethods::drain_node(Request request) {
    std::optional<std::chrono::seconds> deadline;
    if (const auto seconds = json::optional_member<std::uint64_t>(request.options, "deadline_seconds")) {
        if (*seconds > static_cast<std::uint64_t>(longest_drain.count()))
            co_return fail(ErrorCode::InvalidSpec, fmt::format("the deadline is {} seconds away", *seconds),
                           "from 1 second to 86400, a day");
        deadline = std::chrono::seconds(*seconds);
    }
    Result<Json> rows;
    if (request.value("dry_run") == true)
        rows = co_await services_.actions.explain_drain(request.text("node"), request.caller.user);
    else
        rows = co_await services_.actions.drain_node(request.text("node"), deadline, request.caller.user);
    if (!rows) co_return std::unexpected(rows.error());
    co_return answer(std::move(*rows), drained_fields());
}

// Nothing is moved back: the list is for a version that does.
Reply FleetMethods::resume_node(Request request) {
    const auto done = co_await services_.actions.resume_node(request.text("node"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return answer(Json::array(), drained_fields());
}

Reply FleetMethods::init(Request request) {
    auto result = co_await services_.fleet.init(request.options, services_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    services_.fleet_changed();
    co_return answer(std::move(*result), init_fields());
}

Reply FleetMethods::invite(Request request) {
    constexpr std::uint64_t hour = 3600;
    const auto role = json::member<std::string>(request.options, "role", "member");
    const auto expires = json::member<std::uint64_t>(request.options, "expires_seconds", hour);
    auto result = co_await services_.fleet.invite(role, expires, services_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    co_return answer(std::move(*result));
}

Reply FleetMethods::join(Request request) {
    auto result = co_await services_.fleet.join(request.text("token"), request.text("name"),
                                                services_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    services_.fleet_changed();
    co_return answer(std::move(*result));
}

Reply FleetMethods::leave(Request request) {
    const auto done = co_await services_.fleet.leave(request.value("force") == true,
                                                     services_.actions.by(request.caller.user));
    if (!done) co_return std::unexpected(done.error());
    services_.fleet_changed();
    co_return Answer{};
}

Reply FleetMethods::certificate(Request) {
    auto pem = services_.fleet.web_ca();
    if (!pem) co_return std::unexpected(pem.error());
    co_return answer(std::move(*pem));
}

Reply FleetMethods::status(Request) {
    co_return answer(status_document(services_.view, services_.fleet.is_root(), services_.fleet.gateway()),
                     status_fields());
}

Reply FleetMethods::facts(Request) {
    co_return answer(facts_document(services_.view, services_.fleet.is_root(), services_.fleet.gateway(),
                                    services_.reports()),
                     facts_fields());
}

} // namespace p2prc::daemon
