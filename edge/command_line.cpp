#include "edge/command_line.h"

#include "net/command_line.h"

#include <CLI/CLI.hpp>

namespace p2prc::edge {
namespace {

std::string is_endpoint(const std::string& text) {
    const auto endpoint = net::Endpoint::parse(text);
    return endpoint ? std::string() : endpoint.error().message;
}

} // namespace

std::expected<CommandLine, int> parse_command_line(int argc, const char* const* argv) {
    CLI::App app{
        "The public side of a fleet: routes TLS by name without reading it, sends HTTP to https, and "
        "answers DNS.",
        "p2prc-edge"};
    app.footer("An address is written 203.0.113.1:443 or [2001:db8::1]:443. See p2prc-edge(8).");
    CommandLine line;
    const auto file = [&](const char* name, std::string& value, const char* description) {
        app.add_option(name, value, description)->type_name("FILE");
    };
    const auto endpoints = [&](const char* name, std::vector<net::Endpoint>& list, const char* description) {
        const auto store = [&list](const std::vector<std::string>& texts) {
            for (const auto& text : texts)
                list.push_back(*net::Endpoint::parse(text));
        };
        app.add_option_function<std::vector<std::string>>(name, store, description)
            ->check(is_endpoint)
            ->type_name("ADDR:PORT")
            ->allow_extra_args(false);
    };
    file("--config", line.config_file, "instead of /etc/p2prc/edge.toml");
    file("--routes", line.routes_file,
         "serve the routes and zones of this file, without daemon or fleet; SIGHUP reads it again");
    endpoints("--listen-tls", line.listen_tls, "where TLS clients connect; may be given more than once");
    endpoints("--listen-http", line.listen_http, "where plain HTTP clients connect; likewise");
    endpoints("--listen-dns", line.listen_dns, "where DNS is answered, UDP and TCP; likewise");
    if (const auto status = net::parse_command_line(app, argc, argv)) return std::unexpected(*status);
    return line;
}

} // namespace p2prc::edge
