#include "core/route_table.h"

#include "core/document.h"
#include "core/ip_text.h"
#include "core/json_members.h"
#include "core/names.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <set>

namespace p2prc {
namespace {

using Json = nlohmann::json;
using json::member;

Json to_json(const Route& route) {
    return {{"domain", route.domain},
            {"to", route.to},
            {"node_key", route.node_key},
            {"mapping_id", route.mapping_id},
            {"tls", tls_mode_name(route.tls)}};
}

Json to_json(const Zone& zone) {
    Json records = Json::array();
    for (const auto& record : zone.records)
        records.push_back(
            {{"name", record.name}, {"type", record.type}, {"ttl", record.ttl}, {"data", record.data}});
    return {{"name", zone.name},
            {"addresses", zone.addresses},
            {"file_text", zone.file_text},
            {"file_name", zone.file_name},
            {"records", records}};
}

const Json& list_member(const Json& document, std::string_view key) {
    static const Json empty = Json::array();
    const auto it = document.find(key);
    return it != document.end() && it->is_array() ? *it : empty;
}

Route route_from_json(const Json& document) {
    Route route;
    route.domain = member<std::string>(document, "domain");
    route.to = member<std::string>(document, "to");
    route.node_key = member<std::string>(document, "node_key");
    route.mapping_id = member<std::uint32_t>(document, "mapping_id");
    route.tls = member<std::string>(document, "tls") == "node" ? TlsMode::Node : TlsMode::Passthrough;
    return route;
}

Zone zone_from_json(const Json& document) {
    Zone zone;
    zone.name = member<std::string>(document, "name");
    zone.addresses = member<std::vector<std::string>>(document, "addresses");
    zone.file_text = member<std::string>(document, "file_text");
    zone.file_name = member<std::string>(document, "file_name");
    for (const auto& record : list_member(document, "records"))
        zone.records.push_back({member<std::string>(record, "name"), member<std::string>(record, "type"),
                                member<std::uint32_t>(record, "ttl", 60),
                                member<std::string>(record, "data")});
    return zone;
}

// Names are not resolved: a route must not depend on whoever answers for one.
bool is_address_and_port(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return false;
    auto address = text.substr(0, colon);
    const auto port = text.substr(colon + 1);
    unsigned number = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535)
        return false;
    const bool v6 = address.starts_with('[') && address.ends_with(']');
    if (v6) address = address.substr(1, address.size() - 2);
    return ip_family(std::string(address)) == (v6 ? IpFamily::V6 : IpFamily::V4);
}

// Reads one file of routes; the first error ends it.
class FileReader {
  public:
    FileReader(const TomlDocument& toml, const std::string& file, const ReadFile& read)
        : document_(toml.document)
        , locate_(toml.locate())
        , file_(file)
        , read_(read) {}

    Result<RouteTable> run() {
        static constexpr std::array<std::string_view, 3> sections{"route", "port", "zone"};
        if (auto checked = check_known_keys(document_, "", sections, locate_); !checked)
            return std::unexpected(checked.error());
        for (const auto section : sections)
            if (auto done = read_section(section); !done) return std::unexpected(done.error());
        return std::move(table_);
    }

  private:
    Result<void> read_section(std::string_view section) {
        const auto it = document_.find(section);
        if (it == document_.end()) return {};
        if (auto checked = check_type(*it, FieldType::TableList, section, locate_); !checked) return checked;
        for (std::size_t i = 0; i < it->size(); ++i) {
            const auto path = fmt::format("{}[{}]", section, i);
            const auto done = section == "route" ? read_route((*it)[i], path)
                              : section == "zone"
                                  ? read_zone((*it)[i], path)
                                  : Result<void>(std::unexpected(
                                        bad_key(locate_, path, "port mappings are not in this version",
                                                "leave [[port]] out", ErrorCode::NotSupported)));
            if (!done) return done;
        }
        return {};
    }

    Result<std::string> text(const Json& entry, const std::string& path, std::string_view key,
                             bool required) {
        const auto full = fmt::format("{}.{}", path, key);
        const auto it = entry.find(key);
        if (it == entry.end()) {
            if (required) return std::unexpected(bad_key(locate_, full, "is missing"));
            return std::string{};
        }
        if (auto checked = check_type(*it, FieldType::String, full, locate_); !checked)
            return std::unexpected(checked.error());
        return it->get<std::string>();
    }

    Result<std::string> domain(const Json& entry, const std::string& path, std::string_view key) {
        auto given = text(entry, path, key, true);
        if (!given) return given;
        auto normal = normalize_domain(*given);
        if (!normal)
            return std::unexpected(bad_key(locate_, fmt::format("{}.{}", path, key), normal.error().message,
                                           normal.error().hint));
        return normal;
    }

    Result<void> read_route(const Json& entry, const std::string& path) {
        static constexpr std::array<std::string_view, 2> known{"domain", "to"};
        if (auto checked = check_known_keys(entry, path, known, locate_); !checked) return checked;
        auto name = domain(entry, path, "domain");
        if (!name) return std::unexpected(name.error());
        auto to = text(entry, path, "to", true);
        if (!to) return std::unexpected(to.error());
        if (!seen_.insert(*name).second)
            return std::unexpected(bad_key(locate_, path + ".domain",
                                           fmt::format("'{}' is routed twice", *name),
                                           "remove one of the two"));
        if (!is_address_and_port(*to))
            return std::unexpected(bad_key(locate_, path + ".to",
                                           fmt::format("'{}' is not ADDRESS:PORT", *to),
                                           "write an IP address and a port: 127.0.0.1:9443 or [::1]:9443"));
        Route route;
        route.domain = *name;
        route.to = *to;
        table_.routes.push_back(std::move(route));
        return {};
    }

    Result<void> read_zone(const Json& entry, const std::string& path) {
        static constexpr std::array<std::string_view, 3> known{"name", "addresses", "file"};
        if (auto checked = check_known_keys(entry, path, known, locate_); !checked) return checked;
        auto name = domain(entry, path, "name");
        if (!name) return std::unexpected(name.error());
        Zone zone;
        zone.name = *name;
        if (const auto it = entry.find("addresses"); it != entry.end()) {
            if (auto checked = check_type(*it, FieldType::StringList, path + ".addresses", locate_); !checked)
                return checked;
            zone.addresses = it->get<std::vector<std::string>>();
        }
        auto file = text(entry, path, "file", false);
        if (!file) return std::unexpected(file.error());
        if (!file->empty()) {
            const auto slash = file_.rfind('/');
            zone.file_name = file->front() == '/' || slash == std::string::npos
                                 ? *file
                                 : file_.substr(0, slash + 1) + *file;
            auto content = read_(zone.file_name);
            if (!content)
                return std::unexpected(bad_key(locate_, path + ".file", content.error().message,
                                               content.error().hint, content.error().code));
            zone.file_text = std::move(*content);
        }
        table_.zones.push_back(std::move(zone));
        return {};
    }

    const Json& document_;
    Locate locate_;
    const std::string& file_;
    const ReadFile& read_;
    std::set<std::string> seen_;
    RouteTable table_;
};

} // namespace

Json to_json(const RouteTable& table) {
    Json routes = Json::array(), zones = Json::array();
    for (const auto& route : table.routes)
        routes.push_back(to_json(route));
    for (const auto& zone : table.zones)
        zones.push_back(to_json(zone));
    return {{"schema", 1},
            {"revision", table.revision},
            {"routes", routes},
            {"zones", zones},
            {"connector_keys", table.connector_keys}};
}

Result<RouteTable> route_table_from_json(const Json& document) {
    if (!document.is_object()) return fail(ErrorCode::InvalidSpec, "the table of routes is not an object");
    RouteTable table;
    table.revision = member<std::uint64_t>(document, "revision");
    for (const auto& route : list_member(document, "routes"))
        table.routes.push_back(route_from_json(route));
    for (const auto& zone : list_member(document, "zones"))
        table.zones.push_back(zone_from_json(zone));
    table.connector_keys = member<std::vector<std::string>>(document, "connector_keys");
    return table;
}

Result<RouteTable> route_table_from_toml(std::string_view text, const std::string& file,
                                         const ReadFile& read) {
    auto parsed = parse_toml(text, file);
    if (!parsed) return std::unexpected(parsed.error());
    return FileReader(*parsed, file, read).run();
}

} // namespace p2prc
