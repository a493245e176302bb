#include "edge/router.h"

#include "edge/http/response.h"
#include "net/proxy_protocol.h"

#include <algorithm>

namespace p2prc::edge {
namespace {

constexpr std::string_view alpn_control = "p2prc-control/1";
constexpr std::string_view alpn_join = "p2prc-join/1";
constexpr std::string_view alpn_tunnel = "p2prc-tunnel/1";
constexpr std::string_view alpn_acme = "acme-tls/1"; // RFC 8737

} // namespace

Router::Router(RouterOptions options, Dialer& dialer, LingeringClose& lingering_close, Counters& counters)
    : options_(std::move(options))
    , dialer_(dialer)
    , lingering_close_(lingering_close)
    , counters_(counters)
    , routes_(std::make_shared<RouteSnapshot>()) {}

void Router::on_hello(Connection connection, ClientHello hello) {
    const auto refuse = [&](std::uint64_t& counter) {
        ++counter;
        lingering_close_.close(std::move(connection), tls_alert(TlsAlert::UnrecognizedName));
    };
    if (hello.sole_alpn(alpn_control) || hello.sole_alpn(alpn_join)) {
        if (!options_.control) return refuse(counters_.unserved);
        ++counters_.control;
        return to_control(std::move(connection), hello);
    }
    if (std::ranges::find(hello.alpn, alpn_tunnel) != hello.alpn.end()) {
        if (!upstream_) return refuse(counters_.unserved);
        ++counters_.sessions;
        return upstream_->on_session(std::move(connection));
    }
    if (hello.name.empty()) return refuse(counters_.no_name);
    const auto* found = routes_->find(hello.name);
    if (!found) return refuse(counters_.unknown_name);
    const auto message = tls_alert(TlsAlert::InternalError);
    if (found->target) {
        ++counters_.routed;
        return dialer_.relay(*found->target, std::move(connection), {}, message);
    }
    // Where the connector terminates TLS, it gets its certificate by DNS-01. Where the application does, a
    // certificate authority's TLS-ALPN-01 probe (RFC 8737) is passed to it.
    const bool probe = hello.sole_alpn(alpn_acme) && found->route.tls != TlsMode::Passthrough;
    if (!upstream_ || probe) return refuse(counters_.unserved);
    ++counters_.routed;
    upstream_->carry(std::move(connection), found->route, hello.name, message);
}

// p2prcd terminates TLS itself; the PROXY header tells it the client's address and the ALPN.
void Router::to_control(Connection connection, const ClientHello& hello) {
    net::ProxyHeader header;
    header.source = connection.peer;
    header.destination = net::local_endpoint(connection.socket.get());
    const auto alpn = as_bytes(hello.alpn.front());
    header.tlvs.push_back({net::proxy_tlv_alpn, Bytes(alpn.begin(), alpn.end())});
    const auto encoded = net::encode_proxy_header(header);
    const auto prefix = encoded ? std::string(encoded->begin(), encoded->end()) : std::string();
    dialer_.relay(*options_.control, std::move(connection), prefix, tls_alert(TlsAlert::InternalError),
                  control_links);
}

void Router::on_refused_hello(Connection connection, HelloRefusal refusal) {
    ++counters_.refused[static_cast<std::size_t>(refusal)];
    // A peer that does not speak TLS would not understand an alert.
    const bool tls = refusal != HelloRefusal::NotTls && refusal != HelloRefusal::LegacyHello;
    const auto alert = refusal == HelloRefusal::BadName || refusal == HelloRefusal::DuplicateSni ||
                               refusal == HelloRefusal::BadAlpn
                           ? TlsAlert::IllegalParameter
                           : TlsAlert::DecodeError;
    lingering_close_.close(std::move(connection), tls ? tls_alert(alert) : std::string_view());
}

void Router::on_flow(Connection connection) {
    if (!upstream_) {
        ++counters_.unserved;
        return;
    }
    ++counters_.flows;
    upstream_->on_flow(std::move(connection));
}

void Router::on_request(Connection connection, Protocol protocol, const HttpRequest& request) {
    const bool head = request.method == "HEAD";
    if (protocol == Protocol::Http && is_acme_challenge(request.path)) {
        ++counters_.http_refused;
        lingering_close_.close(
            std::move(connection),
            plain_response(404, "HTTP-01 challenges are not forwarded; use TLS-ALPN-01 or DNS-01.\n", head));
        return;
    }
    if (!routes_->find(request.host)) {
        ++counters_.http_refused;
        lingering_close_.close(std::move(connection),
                               plain_response(421, "This host is not served here.\n", head));
        return;
    }
    ++counters_.redirected;
    lingering_close_.close(std::move(connection),
                           https_redirect(request, protocol == Protocol::Tls ? request.port : ""));
}

void Router::on_refused_request(Connection connection, int status) {
    ++counters_.http_refused;
    lingering_close_.close(std::move(connection), plain_response(status));
}

} // namespace p2prc::edge
