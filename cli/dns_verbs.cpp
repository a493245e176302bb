// dns: the zones and records that the root's edge answers.
#include "cli/output.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace p2prc::cli {
namespace {

Result<int> list(const std::string& method, const std::string& zone, Context& context) {
    Daemon daemon;
    const bool records = method == "ListRecords";
    auto rows = records ? daemon.call(method, {{"s", zone}}) : daemon.call(method);
    if (!rows) return std::unexpected(rows.error());
    if (context.json) {
        print(*rows);
        return 0;
    }
    Table table;
    table.when_empty = "no zones; p2prc init --domain ZONE --public-ip IP makes one";
    if (records) {
        table.when_empty = "no records: no domain is mapped; p2prc map-domain DOMAIN PROCESS maps one";
        table.header = {"NAME", "TTL", "TYPE", "DATA"};
        for (const auto& row : *rows)
            table.rows.push_back({cell(row, "name"), cell(row, "ttl"), cell(row, "type"), cell(row, "data")});
    } else {
        table.header = {"ZONE", "ADDRESSES", "NAMES"};
        for (const auto& row : *rows)
            table.rows.push_back({cell(row, "name"), cell(row, "addresses"), cell(row, "names")});
    }
    print(table);
    return 0;
}

} // namespace

void add_dns_verbs(CLI::App& app, Action& action) {
    auto* dns = app.add_subcommand("dns", "the zones and records that the root answers");
    dns->require_subcommand(1);
    dns->add_subcommand("zones", "lists the zones")->callback([&action] {
        action = [](Context& c) { return list("ListZones", "", c); };
    });
    auto zone = std::make_shared<std::string>();
    auto* records = dns->add_subcommand("records", "lists the records");
    records->add_option("ZONE", *zone, "only this zone");
    records->callback(
        [&action, zone] { action = [zone](Context& c) { return list("ListRecords", *zone, c); }; });
    for (const auto* later : {"add", "rm", "ds"}) {
        auto* verb = dns->add_subcommand(later, "records of one's own, DNSSEC")->group(later_group);
        verb->allow_extras()->fallthrough(false);
        verb->callback([&action, later] {
            action = [later](Context&) -> Result<int> {
                return fail(ErrorCode::NotSupported,
                            fmt::format("p2prc dns {} is not in this version", later),
                            "names that are mapped have their records by themselves");
            };
        });
    }
}

} // namespace p2prc::cli
