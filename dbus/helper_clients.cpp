// The two helpers' side of p2prcd: the edge's and the connector's interface.
#include "dbus/client.h"
#include "dbus/names.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

namespace p2prc::dbus {

Answer<Json> HelperClient::invoke(const char* member, std::string signature, Json arguments) {
    return caller_.invoke(side_.path, side_.interface, member, std::move(signature), std::move(arguments),
                          {.former_path = side_.former_path});
}

Answer<void> HelperClient::nothing(const char* member, std::string signature, Json arguments) {
    auto body = co_await invoke(member, std::move(signature), std::move(arguments));
    if (!body) co_return std::unexpected(body.error());
    co_return Result<void>{};
}

Answer<Feed> HelperClient::document() {
    const Json arguments = Json::array();
    auto body = co_await invoke(side_.get, "", arguments);
    if (!body) co_return std::unexpected(body.error());
    if (body->size() != 2 || !(*body)[0].is_number_unsigned() || !(*body)[1].is_object())
        co_return fail(ErrorCode::Failed, "p2prcd answered in a form of another version",
                       "install the same version of all p2prc packages");
    co_return Feed{(*body)[0].get<std::uint64_t>(), std::move((*body)[1])};
}

Answer<void> HelperClient::register_key(std::string fingerprint) {
    return nothing("RegisterKey", "s", Json::array({fingerprint}));
}

Answer<void> HelperClient::report_status(Json status) {
    return nothing("ReportStatus", "a{sv}", Json::array({status}));
}

Result<Registration> HelperClient::match(const char* member, std::function<void(const Message&)> came) {
    const std::string rule = "type='signal',sender='" + std::string(names::service) + "',interface='" +
                             side_.interface + "',member='" + member + "'";
    return caller_.bus().match(rule, std::move(came));
}

Result<Registration> HelperClient::watch(std::function<void(std::uint64_t revision)> changed) {
    auto signal = match(side_.changed, [changed](const Message& message) {
        std::uint64_t revision = 0;
        if (sd_bus_message_read(message.get(), "t", &revision) > 0) changed(revision);
    });
    if (!signal) return signal;
    auto owner = caller_.bus().watch_name(names::service, [changed](const std::string& unique) {
        if (!unique.empty()) changed(0);
    });
    if (!owner) return owner;
    return std::make_shared<std::pair<Registration, Registration>>(*signal, *owner);
}

EdgeClient::EdgeClient(Bus& bus)
    : HelperClient(bus, {names::edge_interface, names::edge_path, names::former_edge_path, "GetRoutes",
                         "RoutesChanged"}) {}

ConnectorClient::ConnectorClient(Bus& bus)
    : HelperClient(bus, {names::connector_interface, names::connector_path, names::former_connector_path,
                         "GetMappings", "MappingsChanged"}) {}

Result<Registration> ConnectorClient::watch_traffic_asked(std::function<void()> asked) {
    return match("TrafficAsked", [asked = std::move(asked)](const Message&) { asked(); });
}

Answer<void> ConnectorClient::publish_challenge(std::string domain, std::string value) {
    return nothing("PublishChallenge", "ss", Json::array({domain, value}));
}

Answer<void> ConnectorClient::remove_challenge(std::string domain, std::string value) {
    return nothing("RemoveChallenge", "ss", Json::array({domain, value}));
}

Answer<void> ConnectorClient::issue_certificate(std::string domain) {
    return nothing("IssueCertificate", "s", Json::array({domain}));
}

Answer<std::string> ConnectorClient::sign_certificate(std::string domain, std::string csr) {
    const Json arguments = Json::array({domain, csr});
    auto body = co_await invoke("SignCertificate", "ss", arguments);
    if (!body) co_return std::unexpected(body.error());
    if (body->empty() || !(*body)[0].is_string())
        co_return fail(ErrorCode::Failed, "p2prcd answered without a certificate");
    co_return (*body)[0].get<std::string>();
}

Answer<void> ConnectorClient::report_certificate(std::string domain, std::string state, std::string detail,
                                                 std::string not_after) {
    return nothing("ReportCertificate", "ssss", Json::array({domain, state, detail, not_after}));
}

Answer<void> ConnectorClient::report_serving(std::string domain, std::string state, std::string reason) {
    return nothing("ReportServing", "sss", Json::array({domain, state, reason}));
}

} // namespace p2prc::dbus
