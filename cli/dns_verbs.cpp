// dns: the zones and records that the root's edge answers.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <memory>

namespace p2prc::cli {
namespace {

Result<int> list_zones(Context& context) {
    Daemon daemon;
    auto zones = daemon.call(&dbus::Client::zones);
    if (!zones) return std::unexpected(zones.error());
    if (context.json) {
        print(*zones);
        return 0;
    }
    Table table;
    table.header = {"ZONE", "ADDRESSES", "NAMES"};
    table.when_empty = "no zones; p2prc init --domain ZONE --public-ip IP makes one";
    for (const auto& zone : *zones)
        table.rows.push_back({cell(zone, "name"), cell(zone, "addresses"), cell(zone, "names")});
    print(table);
    return 0;
}

Result<int> list_records(const std::string& zone, Context& context) {
    Daemon daemon;
    auto records = daemon.call(&dbus::Client::records, zone);
    if (!records) return std::unexpected(records.error());
    if (context.json) {
        print(*records);
        return 0;
    }
    Table table;
    table.header = {"NAME", "TTL", "TYPE", "DATA"};
    table.when_empty = "no records: the zone has no address; p2prc init --public-ip IP gives it one";
    for (const auto& record : *records)
        table.rows.push_back(
            {cell(record, "name"), cell(record, "ttl"), cell(record, "type"), cell(record, "data")});
    print(table);
    return 0;
}

} // namespace

void add_dns_verbs(CLI::App& app, Action& action) {
    auto* dns = app.add_subcommand("dns", "show the zones and records that the root answers");
    dns->require_subcommand(1);
    dns->add_subcommand("zones", "list the zones")->callback([&action] { action = list_zones; });
    auto zone = std::make_shared<std::string>();
    auto* records = dns->add_subcommand("records", "list the records");
    records->add_option("ZONE", *zone, "only this zone");
    records->callback([&action, zone] { action = [zone](Context& c) { return list_records(*zone, c); }; });
    for (const auto* later : {"add", "rm", "ds"}) {
        auto* verb = dns->add_subcommand(later, "manage your own records and DNSSEC")->group(later_group);
        verb->allow_extras()->fallthrough(false);
        verb->callback([&action, later] {
            action = [later](Context&) -> Result<int> {
                return fail(ErrorCode::NotSupported,
                            fmt::format("p2prc dns {} is not in this version", later),
                            "mapped domains get their records automatically");
            };
        });
    }
}

} // namespace p2prc::cli
