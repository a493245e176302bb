// map-domain, unmap-domain, domains.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "core/names.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>
#include <utility>

namespace p2prc::cli {
namespace {

struct MapOptions {
    std::string domain;
    std::string process;
    std::string tls;
    int port = 0;
    std::string to;
    std::string via;
};

Result<int> map_domain(const MapOptions& options, Context& context) {
    if (!options.to.empty() || !options.via.empty())
        return fail(ErrorCode::NotSupported, "--to and --via are not in this version",
                    "map the domain to a process that p2prc runs");
    if (options.tls == "none")
        return fail(ErrorCode::NotSupported, "--tls none is not in this version",
                    "use --tls node or --tls passthrough");
    // As the registry writes it: what it answers is found by this.
    const auto domain_name = normalize_domain(options.domain);
    if (!domain_name) return std::unexpected(domain_name.error());
    const auto process =
        options.process.empty() ? domain_name->substr(0, domain_name->find('.')) : options.process;
    Json settings = Json::object();
    if (!options.tls.empty()) settings["tls"] = options.tls;
    if (options.port != 0) settings["port"] = options.port;
    Daemon daemon;
    if (auto mapped = daemon.call(&dbus::Client::map_domain, *domain_name, process, settings); !mapped)
        return std::unexpected(mapped.error());
    if (options.tls == "passthrough" && !context.json)
        note("the process gets its certificate itself, by TLS-ALPN-01; HTTP-01 is not forwarded to it");
    auto domains = daemon.call(&dbus::Client::domains);
    if (!domains) return std::unexpected(domains.error());
    for (const auto& domain : *domains) {
        if (cell(domain, "process") != process || cell(domain, "domain") != *domain_name) continue;
        if (context.json) {
            print(domain, domain_fields());
            return 0;
        }
        note(fmt::format("{} is mapped to '{}': {}{}", *domain_name, process, cell(domain, "state"),
                         cell(domain, "reason") == "-" ? "" : " (" + cell(domain, "reason") + ")"));
        return 0;
    }
    if (context.json)
        print(Json{{"domain", *domain_name}, {"process", process}});
    else
        note(fmt::format("{} is mapped to '{}'", *domain_name, process));
    return 0;
}

Result<int> unmap_domain(const std::string& given, Context& context) {
    const auto domain = normalize_domain(given);
    if (!domain) return std::unexpected(domain.error());
    Daemon daemon;
    if (auto done = daemon.call(&dbus::Client::unmap_domain, *domain); !done)
        return std::unexpected(done.error());
    if (context.json)
        print(Json{{"domain", *domain}});
    else
        note(fmt::format("{} is no longer mapped", *domain));
    return 0;
}

Result<int> list_domains(Context& context) {
    Daemon daemon;
    auto domains = daemon.call(&dbus::Client::domains);
    if (!domains) return std::unexpected(domains.error());
    if (context.json) {
        print(std::move(*domains), domain_fields());
        return 0;
    }
    Table table;
    table.header = {"DOMAIN", "PROCESS", "NODE", "TLS", "PORT", "STATE", "REASON"};
    table.when_empty = "no domains; map one: p2prc map-domain DOMAIN PROCESS";
    for (const auto& domain : *domains)
        table.rows.push_back({cell(domain, "domain"), cell(domain, "process"), cell(domain, "node"),
                              cell(domain, "tls"), cell(domain, "port"), cell(domain, "state"),
                              cell(domain, "reason")});
    print(table);
    daemon.note_if_out_of_date();
    return 0;
}

} // namespace

void add_domain_verbs(CLI::App& app, Action& action) {
    auto* map = app.add_subcommand("map-domain", "make a process reachable under a domain");
    auto options = std::make_shared<MapOptions>();
    map->add_option("DOMAIN", options->domain, "the domain")->required()->transform(url_as_domain());
    map->add_option("PROCESS", options->process, "the process; default: the first label of DOMAIN");
    map->add_option("--tls", options->tls,
                    "where TLS is terminated: node (default), or passthrough: in the process")
        ->type_name("WHERE")
        ->check(one_of({"node", "passthrough"}, {"none"}));
    map->add_option("--port", options->port, "a port that the process declares; default: its port")
        ->type_name("PORT")
        ->check(number_between(1, 65535));
    // Not in this version: refused with these words, and not offered.
    map->add_option("--to", options->to, "HOST:PORT of a device")->group("");
    map->add_option("--via", options->via, "the node that reaches it")->group("");
    map->callback([&action, options] { action = [options](Context& c) { return map_domain(*options, c); }; });

    auto* unmap = app.add_subcommand("unmap-domain", "unmap a domain");
    auto domain = std::make_shared<std::string>();
    unmap->add_option("DOMAIN", *domain, "the domain")->required()->transform(url_as_domain());
    unmap->callback(
        [&action, domain] { action = [domain](Context& c) { return unmap_domain(*domain, c); }; });

    app.add_subcommand("domains", "list the mapped domains")->callback([&action] { action = list_domains; });
}

} // namespace p2prc::cli
