// The DNS server alone, from a file of routes: what the differential test and the benchmark run.
//
//   dns_server --routes FILE --listen-dns ADDR:PORT [--state FILE] [--changes N]
//
// With --changes, N changes a second are published: a mapped name more, a mapped name less.
#include "edge/dns/server.h"
#include "edge/dns/zone.h"
#include "net/file.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fmt/core.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>

namespace {

using namespace p2prc;

Result<RouteTable> load(const std::string& routes) {
    const auto text = net::read_file(routes);
    if (!text) return std::unexpected(text.error());
    const auto read = [&](const std::string& path) {
        return net::read_file(std::filesystem::path(routes).parent_path() / path);
    };
    return route_table_from_toml(*text, routes, read);
}

Result<void> publish(edge::dns::Server& server, const std::string& routes) {
    const auto table = load(routes);
    if (!table) return std::unexpected(table.error());
    if (auto good = edge::dns::check_zones(*table); !good) return good;
    server.publish(*table);
    return {};
}

int complain(const Error& error) {
    fmt::print(stderr, "dns_server: {}\n", error.message);
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    std::string routes, listen;
    int changes = 0;
    edge::dns::Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--routes") == 0) routes = argv[i + 1];
        if (std::strcmp(argv[i], "--listen-dns") == 0) listen = argv[i + 1];
        if (std::strcmp(argv[i], "--state") == 0) options.state_file = argv[i + 1];
        if (std::strcmp(argv[i], "--changes") == 0) changes = std::atoi(argv[i + 1]);
    }
    options.on_error = [](const Error& error) { complain(error); };
    const auto endpoint = net::Endpoint::parse(listen);
    if (!endpoint) return complain(endpoint.error());
    boost::asio::io_context context(1);
    edge::dns::Server server(context.get_executor(), options);
    if (const auto good = publish(server, routes); !good) return complain(good.error());
    if (const auto good = server.listen({&*endpoint, 1}); !good) return complain(good.error());
    boost::asio::signal_set stop(context, SIGTERM, SIGINT);
    stop.async_wait([&](boost::system::error_code, int) { context.stop(); });
    boost::asio::signal_set reload(context, SIGHUP);
    const std::function<void()> wait = [&] {
        reload.async_wait([&](boost::system::error_code error, int) {
            if (error) return;
            if (const auto good = publish(server, routes); !good) complain(good.error());
            wait();
        });
    };
    wait();
    RouteTable changing;
    if (changes > 0) changing = *load(routes);
    boost::asio::steady_timer next(context);
    const std::function<void()> change = [&] {
        next.expires_after(std::chrono::microseconds(1000000 / changes));
        next.async_wait([&](boost::system::error_code error) {
            if (error) return;
            ++changing.revision;
            changing.routes.resize(1);
            changing.routes[0].domain = fmt::format("change{}.{}", changing.revision, changing.zones[0].name);
            server.publish(changing);
            change();
        });
    };
    if (changes > 0) change();
    context.run();
    return 0;
}
