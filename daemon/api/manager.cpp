#include "daemon/api/manager.h"

#include "core/json_members.h"
#include "daemon/api/documents.h"
#include "daemon/api/log_stream.h"
#include "daemon/api/routes.h"
#include "dbus/codec.h"
#include "dbus/names.h"

#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

using Arguments = std::vector<dbus::Argument>;

std::vector<std::string> features() {
    return {"fleet", "tunnel", "acme", "web-ca", "dns"};
}

Result<void> write_texts(const dbus::Message& reply, const Json& list) {
    return dbus::write_value(reply, "as", list);
}

// Options of one method: anything else is a mistake that must not pass in silence.
Result<void> check_keys(const Json& options, std::initializer_list<std::string_view> known) {
    for (const auto& [key, value] : options.items()) {
        bool found = false;
        for (const std::string_view name : known)
            found = found || key == name;
        if (found) continue;
        std::string names;
        for (const std::string_view name : known)
            (names += names.empty() ? "" : ", ") += name;
        return fail(ErrorCode::InvalidSpec, "there is no option '" + key + "'", "the options are " + names);
    }
    return {};
}

} // namespace

Manager::Manager(Parts parts) : parts_(std::move(parts)) {}

dbus::Interface Manager::interface() {
    announced_node_ = parts_.view.node();
    announced_reachable_ = parts_.fleet.gateway().reachable();
    dbus::Interface result{dbus::names::manager_interface};
    add_process_verbs(result.methods);
    add_fleet_verbs(result.methods);
    result.properties.push_back(
        {"Version", "s", dbus::Emits::Constant, [](const std::string&, const dbus::Message& reply) {
             return dbus::write_value(reply, "s", P2PRC_VERSION);
         }});
    result.properties.push_back(
        {"Features", "as", dbus::Emits::Constant,
         [](const std::string&, const dbus::Message& reply) { return write_texts(reply, features()); }});
    result.properties.push_back(
        {"NodeName", "s", dbus::Emits::Change, [this](const std::string&, const dbus::Message& reply) {
             return dbus::write_value(reply, "s", parts_.view.node());
         }});
    result.properties.push_back(
        {"Reachable", "b", dbus::Emits::Change, [this](const std::string&, const dbus::Message& reply) {
             return dbus::write_value(reply, "b", parts_.fleet.gateway().reachable());
         }});
    return result;
}

void Manager::add_process_verbs(std::vector<dbus::Method>& methods) {
    auto& rights = parts_.rights;
    const Arguments process{{"s", "process"}};
    const auto verb = [this](Verb which) {
        return [this, which](Request request) { return act(which, request.text(0), request.caller); };
    };
    methods.push_back(method(rights, "SpinProcess", {{"a{sv}", "spec"}, {"s", "node"}}, {{"o", "object"}},
                             [this](Request request) { return spin(std::move(request)); }));
    methods.push_back(method(rights, "SpinProcessWithOptions",
                             {{"a{sv}", "spec"}, {"s", "node"}, {"a{sv}", "options"}}, {{"o", "object"}},
                             [this](Request request) { return spin(std::move(request)); }));
    methods.push_back(method(rights, "KillProcess", process, {}, verb(Verb::Kill)));
    methods.push_back(method(rights, "StopProcess", process, {}, verb(Verb::Stop)));
    methods.push_back(method(rights, "StartProcess", process, {}, verb(Verb::Start)));
    methods.push_back(method(rights, "RestartProcess", process, {}, verb(Verb::Restart)));
    const Arguments with_options{{"s", "process"}, {"a{sv}", "options"}};
    const auto verb_with_options = [this](Verb which) {
        return [this, which](Request request) {
            return act(which, request.text(0), request.caller, request.arguments.at(1));
        };
    };
    methods.push_back(
        method(rights, "StartProcessWithOptions", with_options, {}, verb_with_options(Verb::Start)));
    methods.push_back(
        method(rights, "RestartProcessWithOptions", with_options, {}, verb_with_options(Verb::Restart)));
    methods.push_back(method(rights, "ProcessInformation", process, {{"a{sv}", "information"}},
                             [this](Request request) { return information(std::move(request)); }));
    methods.push_back(method(rights, "ListProcess", {}, {{"aa{sv}", "processes"}},
                             [this](Request) { return list(processes(), process_fields()); }));
    methods.push_back(method(rights, "Logs", {{"s", "process"}, {"u", "lines"}, {"b", "follow"}},
                             {{"h", "stream"}},
                             [this](Request request) { return logs(std::move(request)); }));
    methods.push_back(method(rights, "MapDomain", {{"s", "domain"}, {"s", "process"}, {"a{sv}", "options"}},
                             {{"o", "object"}},
                             [this](Request request) { return map_domain(std::move(request)); }));
    methods.push_back(method(rights, "UnmapDomain", {{"s", "domain"}}, {}, [this](Request request) {
        return unmap_domain(request.text(0), request.caller);
    }));
    methods.push_back(method(rights, "ListDomains", {}, {{"aa{sv}", "domains"}},
                             [this](Request) { return list(domain_rows(parts_.view), domain_fields()); }));
}

void Manager::add_fleet_verbs(std::vector<dbus::Method>& methods) {
    auto& rights = parts_.rights;
    methods.push_back(method(rights, "ListNodes", {}, {{"aa{sv}", "nodes"}},
                             [this](Request) { return list(node_rows(parts_.view), node_fields()); }));
    methods.push_back(method(rights, "RemoveNode", {{"s", "name"}}, {}, [this](Request request) {
        return remove_node(request.text(0), request.caller);
    }));
    methods.push_back(method(rights, "Init", {{"a{sv}", "options"}}, {{"a{sv}", "result"}},
                             [this](Request request) { return init(std::move(request)); }));
    methods.push_back(method(rights, "Invite", {{"a{sv}", "options"}}, {{"a{sv}", "invitation"}},
                             [this](Request request) { return invite(std::move(request)); }));
    methods.push_back(method(rights, "Join", {{"s", "token"}, {"s", "name"}}, {{"a{sv}", "result"}},
                             [this](Request request) { return join(std::move(request)); }));
    methods.push_back(method(rights, "Leave", {{"b", "force"}}, {},
                             [this](Request request) { return leave(std::move(request)); }));
    methods.push_back(
        method(rights, "FleetCertificate", {}, {{"s", "pem"}}, [this](Request) { return certificate(); }));
    methods.push_back(method(rights, "Status", {}, {{"a{sv}", "status"}}, [this](Request) {
        return list(status_document(parts_.view, parts_.fleet.is_root(), parts_.fleet.gateway()), {});
    }));
    methods.push_back(method(rights, "Facts", {}, {{"a{sv}", "facts"}}, [this](Request) {
        return list(
            facts_document(parts_.view, parts_.fleet.is_root(), parts_.fleet.gateway(), parts_.reports()),
            {});
    }));
    methods.push_back(method(rights, "ListZones", {}, {{"aa{sv}", "zones"}},
                             [this](Request) { return list(zone_documents(parts_.view), {}); }));
    methods.push_back(method(rights, "ListRecords", {{"s", "zone"}}, {{"aa{sv}", "records"}},
                             [this](Request request) { return records(request.text(0)); }));
}

std::vector<dbus::Method> Manager::process_methods() {
    std::vector<dbus::Method> methods;
    const auto add = [&](const char* name, Verb verb) {
        methods.push_back(method(parts_.rights, name, {}, {}, [this, verb](Request request) {
            return act(verb,
                       request.message.path().substr(std::string(dbus::names::process_prefix).size() + 1),
                       request.caller);
        }));
    };
    add("Stop", Verb::Stop);
    add("Start", Verb::Start);
    add("Restart", Verb::Restart);
    add("Kill", Verb::Kill);
    return methods;
}

std::vector<dbus::Method> Manager::node_methods() {
    return {method(parts_.rights, "Remove", {}, {}, [this](Request request) {
        return remove_node(dbus::path_decode(dbus::names::node_prefix, request.message.path()),
                           request.caller);
    })};
}

std::vector<dbus::Method> Manager::domain_methods() {
    return {method(parts_.rights, "Unmap", {}, {}, [this](Request request) {
        return unmap_domain(dbus::path_decode(dbus::names::domain_prefix, request.message.path()),
                            request.caller);
    })};
}

void Manager::announce() {
    std::vector<std::string> names;
    if (std::exchange(announced_node_, parts_.view.node()) != announced_node_) names.emplace_back("NodeName");
    const bool reachable = parts_.fleet.gateway().reachable();
    if (std::exchange(announced_reachable_, reachable) != reachable) names.emplace_back("Reachable");
    if (!names.empty())
        (void)parts_.bus.emit_properties_changed(dbus::names::root_path, dbus::names::manager_interface,
                                                 names);
}

Json Manager::processes() const {
    Json list = process_rows(parts_.view);
    for (Json& document : list)
        parts_.measure(document);
    return list;
}

Manager::Reply Manager::list(Json documents, std::span<const Field> fields) {
    co_return answer(std::move(documents), fields);
}

Manager::Reply Manager::spin(Request request) {
    // Read again by the table, which knows the types.
    request.message.rewind();
    auto document = dbus::read_spec(request.message);
    if (!document) co_return std::unexpected(document.error());
    const Json options = request.arguments.size() > 2 ? request.arguments[2] : Json::object();
    const auto wait = wait_options(options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto id =
        co_await parts_.actions.spin(std::move(*document), request.text(1), request.caller.user, *wait);
    if (!id) co_return std::unexpected(id.error());
    before_path();
    co_return answer(std::string(dbus::names::process_prefix) + "/" + std::to_string(*id));
}

Manager::Reply Manager::act(Verb verb, std::string process, Caller caller, Json options) {
    const auto wait = wait_options(options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto done = co_await parts_.actions.act(verb, process, caller.user, *wait);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Manager::Reply Manager::information(Request request) {
    const auto record = parts_.view.find_process(request.text(0));
    if (!record) co_return std::unexpected(record.error());
    Json document = process_document(parts_.view, *record);
    parts_.measure(document);
    co_return answer(std::move(document), process_fields());
}

Manager::Reply Manager::logs(Request request) {
    const auto record = parts_.view.find_process(request.text(0));
    if (!record) co_return std::unexpected(record.error());
    Json params = {
        {"process", record->name}, {"lines", request.arguments[1]}, {"follow", request.arguments[2]}};
    auto stream = co_await parts_.fleet.logs(record->node, std::move(params));
    if (!stream) co_return std::unexpected(stream.error());
    auto reader = pump_logs(parts_.bus.executor(), std::move(*stream));
    if (!reader) co_return std::unexpected(reader.error());
    Answer result;
    result.descriptor = std::move(*reader);
    co_return result;
}

Manager::Reply Manager::map_domain(Request request) {
    const auto domain = co_await parts_.actions.map_domain(request.text(0), request.text(1),
                                                           request.arguments[2], request.caller.user);
    if (!domain) co_return std::unexpected(domain.error());
    before_path();
    co_return answer(dbus::path_encode(dbus::names::domain_prefix, *domain));
}

Manager::Reply Manager::unmap_domain(std::string domain, Caller caller) {
    const auto done = co_await parts_.actions.unmap_domain(domain, caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Manager::Reply Manager::remove_node(std::string name, Caller caller) {
    const auto done = co_await parts_.fleet.remove_node(name, parts_.actions.by(caller.user));
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Manager::Reply Manager::init(Request request) {
    const Json& options = request.arguments[0];
    if (const auto known = check_keys(options, {"name", "domain", "public_ips", "acme"}); !known)
        co_return std::unexpected(known.error());
    auto result = co_await parts_.fleet.init(options, parts_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    announce();
    co_return answer(std::move(*result));
}

Manager::Reply Manager::invite(Request request) {
    constexpr std::uint64_t hour = 3600;
    const Json& options = request.arguments[0];
    if (const auto known = check_keys(options, {"role", "expires_seconds"}); !known)
        co_return std::unexpected(known.error());
    const auto role = json::member<std::string>(options, "role", "member");
    const auto expires = json::member<std::uint64_t>(options, "expires_seconds", hour);
    auto result = co_await parts_.fleet.invite(role, expires, parts_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    co_return answer(std::move(*result));
}

Manager::Reply Manager::join(Request request) {
    auto result =
        co_await parts_.fleet.join(request.text(0), request.text(1), parts_.actions.by(request.caller.user));
    if (!result) co_return std::unexpected(result.error());
    announce();
    co_return answer(std::move(*result));
}

Manager::Reply Manager::leave(Request request) {
    const auto done =
        co_await parts_.fleet.leave(request.arguments[0].get<bool>(), parts_.actions.by(request.caller.user));
    if (!done) co_return std::unexpected(done.error());
    announce();
    co_return Answer{};
}

Manager::Reply Manager::certificate() {
    auto pem = parts_.fleet.web_ca();
    if (!pem) co_return std::unexpected(pem.error());
    co_return answer(std::move(*pem));
}

Manager::Reply Manager::records(std::string zone) {
    auto list = record_documents(parts_.view, zone);
    if (!list) co_return std::unexpected(list.error());
    co_return answer(std::move(*list));
}

} // namespace p2prc::daemon
