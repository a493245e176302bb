// The two helpers' side of p2prcd: the edge's and the connector's interface.
#include "dbus/client.h"
#include "dbus/names.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

namespace p2prc::dbus {

namespace asio = boost::asio;

namespace {

// Neither starts p2prcd: when an administrator stopped it, it stays stopped.
constexpr bool interactive = false;
constexpr bool activate = false;

Result<Feed> to_feed(Result<Json> body) {
    if (!body) return std::unexpected(body.error());
    if (body->size() != 2 || !(*body)[0].is_number_unsigned() || !(*body)[1].is_object())
        return fail(ErrorCode::Failed, "p2prcd answered in a form of another version",
                    "install the same version of all p2prc packages");
    return Feed{(*body)[0].get<std::uint64_t>(), std::move((*body)[1])};
}

Result<void> to_nothing(const Result<Json>& body) {
    if (!body) return std::unexpected(body.error());
    return {};
}

Result<Registration> watch_feed(Bus& bus, const std::string& interface, const std::string& signal,
                                std::function<void(std::uint64_t)> changed) {
    const std::string rule = "type='signal',sender='" + std::string(names::service) + "',interface='" +
                             interface + "',member='" + signal + "'";
    auto match = bus.match(rule, [changed](const Message& message) {
        std::uint64_t revision = 0;
        if (sd_bus_message_read(message.get(), "t", &revision) > 0) changed(revision);
    });
    if (!match) return match;
    auto owner = bus.watch_name(names::service, [changed](const std::string& unique) {
        if (!unique.empty()) changed(0);
    });
    if (!owner) return owner;
    return std::make_shared<std::pair<Registration, Registration>>(*match, *owner);
}

} // namespace

EdgeClient::EdgeClient(Bus& bus) : caller_(bus, interactive, activate) {}

asio::awaitable<Result<void>> EdgeClient::register_key(std::string fingerprint) {
    const Json arguments = Json::array({fingerprint});
    auto body =
        co_await caller_.invoke(names::edge_path, names::edge_interface, "RegisterKey", "s", arguments);
    co_return to_nothing(body);
}

asio::awaitable<Result<Feed>> EdgeClient::routes() {
    const Json arguments = Json::array();
    auto body = co_await caller_.invoke(names::edge_path, names::edge_interface, "GetRoutes", "", arguments);
    co_return to_feed(std::move(body));
}

asio::awaitable<Result<void>> EdgeClient::report_status(Json status) {
    const Json arguments = Json::array({status});
    auto body =
        co_await caller_.invoke(names::edge_path, names::edge_interface, "ReportStatus", "a{sv}", arguments);
    co_return to_nothing(body);
}

Result<Registration> EdgeClient::watch(std::function<void(std::uint64_t revision)> changed) {
    return watch_feed(caller_.bus(), names::edge_interface, "RoutesChanged", std::move(changed));
}

ConnectorClient::ConnectorClient(Bus& bus) : caller_(bus, interactive, activate) {}

asio::awaitable<Result<Json>> ConnectorClient::invoke(const char* member, std::string signature,
                                                      Json arguments) {
    return caller_.invoke(names::connector_path, names::connector_interface, member, std::move(signature),
                          std::move(arguments));
}

asio::awaitable<Result<void>> ConnectorClient::nothing(const char* member, std::string signature,
                                                       Json arguments) {
    auto body = co_await invoke(member, std::move(signature), std::move(arguments));
    co_return to_nothing(body);
}

asio::awaitable<Result<void>> ConnectorClient::register_key(std::string fingerprint) {
    return nothing("RegisterKey", "s", Json::array({fingerprint}));
}

asio::awaitable<Result<Feed>> ConnectorClient::mappings() {
    const Json arguments = Json::array();
    auto body = co_await invoke("GetMappings", "", arguments);
    co_return to_feed(std::move(body));
}

asio::awaitable<Result<void>> ConnectorClient::publish_challenge(std::string domain, std::string value) {
    return nothing("PublishChallenge", "ss", Json::array({domain, value}));
}

asio::awaitable<Result<void>> ConnectorClient::remove_challenge(std::string domain, std::string value) {
    return nothing("RemoveChallenge", "ss", Json::array({domain, value}));
}

asio::awaitable<Result<void>> ConnectorClient::issue_certificate(std::string domain) {
    return nothing("IssueCertificate", "s", Json::array({domain}));
}

asio::awaitable<Result<std::string>> ConnectorClient::sign_certificate(std::string domain, std::string csr) {
    const Json arguments = Json::array({domain, csr});
    auto body = co_await invoke("SignCertificate", "ss", arguments);
    if (!body) co_return std::unexpected(body.error());
    if (body->empty() || !(*body)[0].is_string())
        co_return fail(ErrorCode::Failed, "p2prcd answered without a certificate");
    co_return (*body)[0].get<std::string>();
}

asio::awaitable<Result<void>> ConnectorClient::report_certificate(std::string domain, std::string state,
                                                                  std::string detail, std::string not_after) {
    return nothing("ReportCertificate", "ssss", Json::array({domain, state, detail, not_after}));
}

asio::awaitable<Result<void>> ConnectorClient::report_serving(std::string domain, std::string state,
                                                              std::string reason) {
    return nothing("ReportServing", "sss", Json::array({domain, state, reason}));
}

asio::awaitable<Result<void>> ConnectorClient::report_status(Json status) {
    return nothing("ReportStatus", "a{sv}", Json::array({status}));
}

Result<Registration> ConnectorClient::watch(std::function<void(std::uint64_t revision)> changed) {
    return watch_feed(caller_.bus(), names::connector_interface, "MappingsChanged", std::move(changed));
}

} // namespace p2prc::dbus
