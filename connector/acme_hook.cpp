#include "connector/acme_hook.h"

#include "connector/mappings.h"
#include "dbus/bus.h"
#include "dbus/client.h"
#include "net/asio.h"
#include "net/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <ldns/ldns.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <set>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::seconds longest_wait{30};
constexpr std::chrono::milliseconds between_questions{100};

template <auto free_function>
struct Free {
    template <class T>
    void operator()(T* object) const noexcept {
        free_function(object);
    }
};
using Resolver = std::unique_ptr<ldns_resolver, Free<ldns_resolver_deep_free>>;
using Packet = std::unique_ptr<ldns_pkt, Free<ldns_pkt_free>>;
using Name = std::unique_ptr<ldns_rdf, Free<ldns_rdf_deep_free>>;

std::string plain_name(const std::string& domain) {
    return domain.starts_with("*.") ? domain.substr(2) : domain;
}

// A server names a wildcard without its star (RFC 8555 section 7.1.4), as it does the name itself, which may
// be another node's: the unit of the run says which of the two it is for.
std::string mapped_domain(const std::string& identifier) {
    const char* domain = std::getenv("P2PRC_ACME_DOMAIN");
    return domain && plain_name(domain) == identifier ? domain : identifier;
}

// Whether the server at `address` answers with `value` for the challenge of `domain`. Blocks for a second at
// most: this program does nothing else.
bool server_says(const net::Address& address, const std::string& domain, const std::string& value) {
    const Resolver resolver(ldns_resolver_new());
    const Name server(
        ldns_rdf_new_frm_str(address.is_v4() ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA, address.text().c_str()));
    const Name name(ldns_dname_new_frm_str(("_acme-challenge." + plain_name(domain)).c_str()));
    if (!resolver || !server || !name) return false;
    ldns_resolver_push_nameserver(resolver.get(), server.get());
    ldns_resolver_set_timeout(resolver.get(), timeval{1, 0});
    ldns_resolver_set_retry(resolver.get(), 1);
    ldns_resolver_set_recursive(resolver.get(), false);
    const Packet packet(
        ldns_resolver_query(resolver.get(), name.get(), LDNS_RR_TYPE_TXT, LDNS_RR_CLASS_IN, 0));
    if (!packet) return false;
    const ldns_rr_list* answers = ldns_pkt_answer(packet.get());
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(answers); ++i) {
        const ldns_rdf* text = ldns_rr_rdf(ldns_rr_list_rr(answers, i), 0);
        if (!text || ldns_rdf_size(text) < 1) continue;
        // A TXT's first string: a byte of length, then its bytes (RFC 1035 section 3.3.14).
        const std::string_view said(reinterpret_cast<const char*>(ldns_rdf_data(text)) + 1,
                                    ldns_rdf_size(text) - 1);
        if (said == value) return true;
    }
    return false;
}

asio::awaitable<int> begin(dbus::ConnectorClient& client, std::string domain, std::string value) {
    const Result<void> published = co_await client.publish_challenge(domain, value);
    if (!published) {
        net::log_error(
            fmt::format("the challenge for {} is not published: {}", domain, published.error().message));
        co_return 1;
    }
    const Result<dbus::Feed> feed = co_await client.mappings();
    if (!feed) {
        net::log_error("cannot learn where the zone's servers are: " + feed.error().message);
        co_return 1;
    }
    const Result<MappingTable> table = mapping_table_from_json(feed->document);
    std::set<net::Address> servers;
    if (table)
        for (const EdgeAddress& edge : table->edges)
            if (!edge.address.address.is_loopback()) servers.insert(edge.address.address);
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto end = std::chrono::steady_clock::now() + longest_wait;
    while (!servers.empty()) {
        std::erase_if(servers,
                      [&](const net::Address& server) { return server_says(server, domain, value); });
        if (servers.empty()) break;
        if (std::chrono::steady_clock::now() >= end) {
            net::log_error(fmt::format("the DNS server at {} does not show the challenge for {}",
                                       servers.begin()->text(), domain));
            co_return 1;
        }
        timer.expires_after(between_questions);
        co_await timer.async_wait(net::as_result);
    }
    co_return 0;
}

asio::awaitable<void> run(int& status, std::vector<std::string> arguments) {
    const std::string& method = arguments[0];
    Result<std::unique_ptr<dbus::Bus>> bus = dbus::Bus::open_system(co_await asio::this_coro::executor);
    if (!bus) {
        net::log_error("cannot reach the system bus: " + bus.error().message);
        co_return;
    }
    dbus::ConnectorClient client(**bus);
    const std::string domain = mapped_domain(arguments[2]);
    if (method == "begin") {
        status = co_await begin(client, domain, arguments[4]);
        co_return;
    }
    const Result<void> removed = co_await client.remove_challenge(domain, arguments[4]);
    if (!removed) net::log_warning("the challenge is not removed: " + removed.error().message);
    status = 0;
}

} // namespace

int run_acme_hook(const std::vector<std::string>& arguments) {
    if (arguments.size() != 5) {
        net::log_error("acme-hook wants METHOD TYPE IDENT TOKEN AUTH");
        return 2;
    }
    if (arguments[1] != "dns-01") return 1;
    int status = 1;
    asio::io_context context(1);
    asio::co_spawn(context, run(status, arguments), [&context](std::exception_ptr) { context.stop(); });
    context.run();
    return status;
}

} // namespace p2prc::connector
