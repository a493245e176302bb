#include "daemon/api/helpers.h"

#include "core/counted.h"
#include "core/encoding.h"
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "daemon/api/routes.h"
#include "dbus/codec.h"
#include "dbus/limits.h"
#include "dbus/names.h"
#include "net/clock.h"
#include "net/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::size_t most_report_text = std::size_t{64} << 10U;
// A connector that takes longer is not waited for until it has answered.
constexpr std::chrono::milliseconds traffic_timeout{500};

Answer two(Json first, Json second) {
    Answer result;
    result.values = Json::array({std::move(first), std::move(second)});
    return result;
}

} // namespace

Helpers::Helpers(dbus::Bus& bus, FleetControl& fleet, const View& view, state::OwnState& own,
                 Authorisation& rights, IssueCertificate issue, Accepts accepts, Ports ports)
    : bus_(&bus)
    , fleet_(&fleet)
    , view_(&view)
    , own_(&own)
    , rights_(&rights)
    , issue_(std::move(issue))
    , serving_(bus.executor(), view, own, std::move(accepts), std::move(ports),
               [this] { mappings_changed(); })
    , refresh_(bus.executor()) {}

Helpers::~Helpers() = default;

std::span<const MethodRow<Helpers>> Helpers::rows() noexcept {
    static constexpr Permission edge = permission::edge, connector = permission::connector;
    static constexpr std::string_view challenge = "s domain, s value";
    static constexpr auto table = std::to_array<MethodRow<Helpers>>({
        {{"Edge", "RegisterKey", "s fingerprint", "", edge}, &Helpers::register_edge},
        {{"Edge", "GetRoutes", "", "t revision, a{sv} table", edge}, &Helpers::routes},
        {{"Edge", "ReportStatus", "a{sv} status", "", edge}, &Helpers::report_edge},
        {{"Connector", "RegisterKey", "s fingerprint", "", connector}, &Helpers::register_connector},
        {{"Connector", "GetMappings", "", "t revision, a{sv} mappings", connector}, &Helpers::mappings},
        {{"Connector", "PublishChallenge", challenge, "", connector}, &Helpers::publish_challenge},
        {{"Connector", "RemoveChallenge", challenge, "", connector}, &Helpers::remove_challenge},
        {{"Connector", "IssueCertificate", "s domain", "", connector}, &Helpers::issue},
        {{"Connector", "SignCertificate", "s domain, s csr", "s chain", connector}, &Helpers::sign},
        {{"Connector", "ReportCertificate", "s domain, s state, s detail, s not_after", "", connector},
         &Helpers::report_certificate},
        {{"Connector", "ReportServing", "s domain, s state, s reason", "", connector},
         &Helpers::report_serving},
        {{"Connector", "ReportStatus", "a{sv} status", "", connector}, &Helpers::report_connector},
        {{"Connector", "ReportTraffic", "aa{sv} traffic", "", connector}, &Helpers::report_traffic},
    });
    return table;
}

dbus::Interface Helpers::edge_interface() {
    dbus::Interface result{dbus::names::edge_interface};
    add_methods(result.methods, {*rights_, *view_}, "Edge", *this);
    result.signals.push_back({"RoutesChanged", {{"t", "revision"}}});
    return result;
}

dbus::Interface Helpers::connector_interface() {
    dbus::Interface result{dbus::names::connector_interface};
    add_methods(result.methods, {*rights_, *view_}, "Connector", *this);
    result.signals.push_back({"MappingsChanged", {{"t", "revision"}}});
    result.signals.push_back({"TrafficAsked", {}});
    return result;
}

Result<void> Helpers::publish() {
    RouteTable routes = route_table(*view_);
    const std::uint64_t left_out = cut_to_fit(routes);
    take_routes(std::move(routes), left_out);
    serving_.read();
    mappings_changed();
    auto edge = bus_->add_object(dbus::names::edge_path, edge_interface());
    if (!edge) return std::unexpected(edge.error());
    auto connector = bus_->add_object(dbus::names::connector_path, connector_interface());
    if (!connector) return std::unexpected(connector.error());
    registrations_ = {*edge, *connector};
    if (auto done = publish_at_former_paths(); !done) return done;
    // What was kept is of an edge and a connector that this daemon has not seen; those that run report anew.
    own_->erase(keys::edge(view_->node()));
    note_role();
    if (const auto key = keys::tunnel(view_->node()); own_->get(key)) {
        own_->erase(key);
        set_tunnel(false, "the connector has not reported yet");
    }
    follow();
    return {};
}

// As fallbacks of a node above: an object of its own would be in the answer of GetManagedObjects.
Result<void> Helpers::publish_at_former_paths() {
    const auto add = [this](const char* former, dbus::Interface interface) -> Result<void> {
        auto object = bus_->add_objects("/org", std::move(interface),
                                        [former](const std::string& path) { return path == former; });
        if (!object) return std::unexpected(object.error());
        registrations_.push_back(std::move(*object));
        return {};
    };
    if (auto done = add(dbus::names::former_edge_path, edge_interface()); !done) return done;
    return add(dbus::names::former_connector_path, connector_interface());
}

Result<DomainRecord> Helpers::own_mapping(const std::string& domain) const {
    const auto name = normalize_domain(domain);
    if (!name) return std::unexpected(name.error());
    const auto* found = view_->domain(*name);
    if (!found || found->node != view_->node())
        return fail(ErrorCode::NotPermitted, "this node does not serve '" + *name + "'");
    // The name that was checked, whatever the record says that it is.
    DomainRecord record = *found;
    record.domain = *name;
    return record;
}

Reply Helpers::register_edge(Request request) {
    return register_key("edge", std::move(request));
}

Reply Helpers::register_connector(Request request) {
    return register_key("connector", std::move(request));
}

Reply Helpers::register_key(std::string kind, Request request) {
    const std::string key = request.text("fingerprint");
    const auto bytes = from_hex(key);
    if (!bytes || bytes->size() != 32)
        co_return fail(ErrorCode::InvalidSpec, "a key's fingerprint is 64 hexadecimal digits");
    if (kind == "edge")
        edge_came(request.caller.sender);
    else
        connector_came(request.caller.sender);
    const auto* self = view_->node_record(view_->node());
    if (self && (kind == "edge" ? self->edge_key : self->connector_key) == key) co_return Answer{};
    Json params = {{"kind", kind}, {"key", key}, {"by", request.caller.user + "@" + view_->node()}};
    const auto done = co_await fleet_->gateway().request("node.register_key", std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply Helpers::routes(Request request) {
    edge_came(request.caller.sender);
    refresh();
    Json document = to_json(routes_);
    document.erase("revision");
    Answer result = two(routes_.revision, std::move(document));
    result.limits = dbus::answer_limits;
    co_return result;
}

// Also for the hook of the ACME client: news goes to whoever has registered.
Reply Helpers::mappings(Request request) {
    refresh();
    if (request.caller.sender == connector_) forget_certificates();
    co_return two(view_->replica().revision(), document_);
}

Reply Helpers::publish_challenge(Request request) {
    return challenge("challenge.publish", std::move(request));
}

Reply Helpers::remove_challenge(Request request) {
    return challenge("challenge.remove", std::move(request));
}

Reply Helpers::challenge(std::string method, Request request) {
    const auto mapping = own_mapping(request.text("domain"));
    if (!mapping) co_return std::unexpected(mapping.error());
    Json params = {{"domain", mapping->domain},
                   {"value", request.text("value")},
                   {"by", request.caller.user + "@" + view_->node()}};
    const auto done = co_await fleet_->gateway().request(method, std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply Helpers::issue(Request request) {
    const auto mapping = own_mapping(request.text("domain"));
    if (!mapping) co_return std::unexpected(mapping.error());
    const auto* fleet = view_->fleet();
    if (!fleet || fleet->acme.empty() || fleet->acme == "none")
        co_return fail(ErrorCode::Conflict, "this fleet uses no ACME server",
                       "'p2prc init --acme letsencrypt' on the root turns it on");
    if (!issue_) co_return fail(ErrorCode::NotSupported, "this daemon cannot run an ACME client");
    std::string directory = fleet->acme;
    const auto done = co_await issue_(mapping->domain, std::move(directory));
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply Helpers::sign(Request request) {
    const auto mapping = own_mapping(request.text("domain"));
    if (!mapping) co_return std::unexpected(mapping.error());
    Json params = {{"domain", mapping->domain},
                   {"csr", request.text("csr")},
                   {"by", request.caller.user + "@" + view_->node()}};
    const auto signed_one = co_await fleet_->gateway().request("certificate.sign", std::move(params));
    if (!signed_one) co_return std::unexpected(signed_one.error());
    co_return answer(json::member<std::string>(*signed_one, "chain"));
}

Reply Helpers::report_certificate(Request request) {
    constexpr std::array<std::string_view, 4> states{"none", "pending", "ready", "failed"};
    const auto mapping = own_mapping(request.text("domain"));
    if (!mapping) co_return std::unexpected(mapping.error());
    CertificateStatus status;
    status.domain = mapping->domain;
    status.state = request.text("state");
    status.detail = text::excerpt(request.text("detail"), 1024);
    status.not_after = text::excerpt(request.text("not_after"), 64);
    if (std::ranges::count(states, status.state) == 0)
        co_return fail(ErrorCode::InvalidSpec,
                       "there is no certificate state '" + text::excerpt(status.state) + "'");
    own_->set(keys::certificate(view_->node(), status.domain), to_json(status));
    co_return Answer{};
}

Reply Helpers::report_serving(Request request) {
    constexpr std::array<std::string_view, 3> states{"ok", "failing", "unknown"};
    const auto mapping = own_mapping(request.text("domain"));
    if (!mapping) co_return std::unexpected(mapping.error());
    const std::string state = request.text("state");
    if (std::ranges::count(states, state) == 0)
        co_return fail(ErrorCode::InvalidSpec, "there is no state '" + text::excerpt(state) + "' of serving");
    serving_.report(mapping->domain, state, text::excerpt(request.text("reason"), 256));
    co_return Answer{};
}

Reply Helpers::report_edge(Request request) {
    return report_status(reports_.edge, std::move(request));
}

Reply Helpers::report_connector(Request request) {
    return report_status(reports_.connector, std::move(request));
}

Reply Helpers::report_status(Json& report, Request request) {
    Json& status = request.arguments["status"];
    if (state::document_text(status).size() > most_report_text)
        co_return fail(ErrorCode::InvalidSpec, "the status report is too big");
    report = std::move(status);
    if (&report == &reports_.connector)
        read_tunnel();
    else
        read_edge();
    co_return Answer{};
}

// Of mappings that it does not serve any more, nothing is kept.
Reply Helpers::report_traffic(Request request) {
    traffic_.clear();
    for (const Json& row : request.arguments["traffic"])
        if (const auto mapping = json::optional_member<std::uint32_t>(row, "mapping"))
            traffic_[*mapping] = {json::member<std::uint64_t>(row, "connections"),
                                  json::member<std::uint64_t>(row, "received_bytes"),
                                  json::member<std::uint64_t>(row, "sent_bytes")};
    silent_ = false;
    for (const auto& answered : std::exchange(traffic_waiting_, {}))
        answered->set();
    co_return Answer{};
}

asio::awaitable<void> Helpers::ask_traffic() {
    if (connector_.empty()) co_return;
    const auto signal =
        bus_->new_signal(dbus::names::connector_path, dbus::names::connector_interface, "TrafficAsked");
    if (!signal || !bus_->send_to(*signal, connector_) || silent_) co_return;
    const auto answered = std::make_shared<net::Event>(bus_->executor());
    traffic_waiting_.push_back(answered);
    if (co_await answered->wait(traffic_timeout)) co_return;
    silent_ = true;
    std::erase(traffic_waiting_, answered);
}

std::optional<MappingTraffic> Helpers::traffic(std::uint32_t mapping) const {
    const auto found = traffic_.find(mapping);
    return found == traffic_.end() ? std::nullopt : std::optional(found->second);
}

// A connector that has ended cannot say that its tunnel has, too.
void Helpers::connector_came(const std::string& connection) {
    if (connection == connector_) return;
    connector_ = connection;
    traffic_.clear();
    silent_ = false;
    auto watch = bus_->watch_name(connection, [this, connection](const std::string& owner) {
        if (!owner.empty() || connection != connector_) return;
        reports_.connector = Json::object();
        traffic_.clear();
        silent_ = true;
        set_tunnel(false, "p2prc-connector does not run");
        serving_.forget_reports();
    });
    if (watch) connector_watch_ = std::move(*watch);
}

void Helpers::edge_came(const std::string& connection) {
    if (connection == edge_) return;
    edge_ = connection;
    set_edge(true, "");
    auto watch = bus_->watch_name(connection, [this, connection](const std::string& owner) {
        if (!owner.empty() || connection != edge_) return;
        edge_.clear();
        reports_.edge = Json::object();
        set_edge(false, "p2prc-edge has ended");
    });
    if (watch) edge_watch_ = std::move(*watch);
}

// What it serves. If two reports in a row name a table that is older than the registry's, no newer one is on
// its way.
void Helpers::read_edge() {
    const auto served = json::optional_member<std::uint64_t>(reports_.edge, "revision");
    behind_ = served && *served < routes_.revision ? behind_ + 1 : 0;
    std::string trouble;
    const auto rejected = reports_.edge.find("rejected");
    if (behind_ > 1)
        trouble = fmt::format("it serves revision {}, and the registry has {}", *served, routes_.revision);
    else if (reports_.routes_left_out > 0)
        trouble = fmt::format("it cannot be told of {}: there are too many",
                              counted(reports_.routes_left_out, "name or record", "names and records"));
    else if (rejected != reports_.edge.end() && rejected->is_array() && !rejected->empty())
        trouble = fmt::format("it leaves out {} of the names, such as {}: {}", rejected->size(),
                              text::excerpt(json::member<std::string>(rejected->front(), "name")),
                              text::excerpt(json::member<std::string>(rejected->front(), "reason")));
    set_edge(true, trouble);
}

// Members have no edge; the root's is that of the fleet. Of one that is up, `detail` says what is wrong with
// it.
void Helpers::set_edge(bool up, const std::string& detail) {
    const std::string key = keys::edge(view_->node());
    const auto* fleet = view_->fleet();
    if (!fleet || fleet->root != view_->node()) {
        if (own_->get(key)) own_->erase(key);
        return;
    }
    set_up_or_down(key, up, detail);
}

// Something is said of an edge where this node is the root, from then on.
void Helpers::note_role() {
    const auto* fleet = view_->fleet();
    const bool root = fleet && !fleet->root.empty() && fleet->root == view_->node();
    if (root != (own_->get(keys::edge(view_->node())) != nullptr))
        set_edge(!edge_.empty(), edge_.empty() ? "it has not registered with p2prcd yet" : "");
}

// Only changes are written: they are uploaded, and on disk.
void Helpers::set_up_or_down(const std::string& key, bool up, const std::string& detail) {
    const auto before = own_->get(key);
    if (before && json::member<bool>(*before, "up") == up &&
        json::member<std::string>(*before, "detail") == detail)
        return;
    // What began to be down is down since then, whatever more is known of it.
    const bool same = before && json::member<bool>(*before, "up") == up;
    const auto since = same ? json::member<std::string>(*before, "since") : net::now_rfc3339();
    Json document = {{"up", up}, {"detail", detail}, {"since", since}};
    // It has not been up yet since this program began, or since the node joined.
    if (!up && (!before || before->contains("connecting")))
        document["connecting"] = before ? json::member<std::string>(*before, "connecting") : since;
    own_->set(key, std::move(document));
}

void Helpers::set_tunnel(bool up, const std::string& detail) {
    set_up_or_down(keys::tunnel(view_->node()), up, detail);
}

// One session with any of the edge's addresses is a tunnel.
void Helpers::read_tunnel() {
    bool up = false;
    std::string detail;
    const auto edges = reports_.connector.find("edges");
    if (edges != reports_.connector.end() && edges->is_array())
        for (const Json& edge : *edges) {
            up = up || json::member<bool>(edge, "up");
            if (detail.empty()) detail = text::excerpt(json::member<std::string>(edge, "error"), 256);
        }
    set_tunnel(up, up ? "" : detail);
}

} // namespace p2prc::daemon
