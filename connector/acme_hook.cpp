#include "connector/acme_hook.h"

#include "connector/mappings.h"
#include "dbus/bus.h"
#include "dbus/client.h"
#include "net/asio.h"
#include "net/dns_client.h"
#include "net/log.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

constexpr std::chrono::seconds longest_wait{30};
constexpr std::chrono::milliseconds between_questions{100};

std::string plain_name(const std::string& domain) {
    return domain.starts_with("*.") ? domain.substr(2) : domain;
}

// An ACME server names a wildcard without its star (RFC 8555 section 7.1.4), so it looks like the name
// itself, which may be another node's. The unit's name says which of the two this run is for.
std::string mapped_domain(const std::string& identifier) {
    const char* domain = std::getenv("P2PRC_ACME_DOMAIN");
    return domain && plain_name(domain) == identifier ? domain : identifier;
}

// Until this or another server shows the value (`shown`), or `end` has passed.
asio::awaitable<void> watch_server(net::Address server, std::string name, std::string value,
                                   std::chrono::steady_clock::time_point end, bool& shown) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    const net::DnsClientOptions options{.servers = {server}, .timeout = std::chrono::seconds(1), .tries = 1};
    net::DnsClient client(executor, options);
    while (!shown && std::chrono::steady_clock::now() < end) {
        const Result<std::vector<std::string>> texts = co_await client.texts(name);
        if (texts && std::ranges::count(*texts, value) != 0) {
            shown = true;
            co_return;
        }
        timer.expires_after(between_questions);
        co_await timer.async_wait(net::as_result);
    }
}

// Asks all addresses of the root repeatedly until one shows `value`. They belong to one server, so the first
// that answers speaks for all.
asio::awaitable<bool> is_shown(std::set<net::Address> servers, std::string name, std::string value) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor);
    const auto end = std::chrono::steady_clock::now() + longest_wait;
    bool shown = false;
    std::size_t asking = servers.size();
    for (const net::Address& server : servers)
        asio::co_spawn(executor, watch_server(server, name, value, end, shown), [&](std::exception_ptr) {
            --asking;
            timer.cancel();
        });
    while (asking > 0) {
        timer.expires_at(std::chrono::steady_clock::time_point::max());
        co_await timer.async_wait(net::as_result);
    }
    co_return shown;
}

asio::awaitable<int> begin(dbus::ConnectorClient& client, std::string domain, std::string value) {
    const Result<void> published = co_await client.publish_challenge(domain, value);
    if (!published) {
        net::log_error(
            fmt::format("cannot publish the challenge for {}: {}", domain, published.error().message));
        co_return 1;
    }
    const Result<dbus::Feed> feed = co_await client.mappings();
    if (!feed) {
        net::log_error("cannot get the addresses of the zone's servers: " + feed.error().message);
        co_return 1;
    }
    const Result<MappingTable> table = mapping_table_from_json(feed->document);
    std::set<net::Address> servers;
    if (table)
        for (const EdgeAddress& edge : table->edges)
            if (!edge.address.address.is_loopback()) servers.insert(edge.address.address);
    // The root dials its edge at the loopback address, where the edge does not answer DNS.
    const bool on_root = servers.empty();
    if (on_root && table) servers = table->name_servers;
    if (servers.empty()) co_return 0;
    const std::string name = "_acme-challenge." + plain_name(domain);
    if (co_await is_shown(servers, name, value)) co_return 0;
    if (on_root) {
        // `listen.dns` of the edge may name an address that p2prcd does not know of.
        net::log_warning(fmt::format("no address of this machine shows the challenge for {} yet; the "
                                     "certificate is asked for all the same",
                                     domain));
        co_return 0;
    }
    net::log_error(fmt::format("no address of the root's DNS server shows the challenge for {}", domain));
    co_return 1;
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
    if (!removed) net::log_warning("cannot remove the challenge: " + removed.error().message);
    status = 0;
}

} // namespace

int run_acme_hook(const std::vector<std::string>& arguments) {
    if (arguments[1] != "dns-01") return 1;
    int status = 1;
    asio::io_context context(1);
    asio::co_spawn(context, run(status, arguments), [&context](std::exception_ptr) { context.stop(); });
    context.run();
    return status;
}

} // namespace p2prc::connector
