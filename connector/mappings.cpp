#include "connector/mappings.h"

#include "core/document.h"
#include "core/process_spec.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <optional>

namespace p2prc::connector {
namespace {

using nlohmann::json;

std::optional<TlsMode> tls_mode(std::string_view name) {
    for (const TlsMode mode : {TlsMode::Passthrough, TlsMode::Node})
        if (tls_mode_name(mode) == name) return mode;
    return std::nullopt;
}

std::string text(const json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number(const json& object, const char* key) {
    const auto found = object.find(key);
    // TOML's integers are signed, D-Bus's are not.
    if (found == object.end() || !found->is_number_integer()) return 0;
    if (found->is_number_unsigned()) return found->get<std::uint64_t>();
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, found->get<std::int64_t>()));
}

std::optional<EdgeAddress> edge_of(const json& entry) {
    const auto address = net::Endpoint::parse(text(entry, "address"));
    EdgeAddress edge{address.value_or(net::Endpoint()), text(entry, "key")};
    if (!address || edge.key.size() != 64) return std::nullopt;
    return edge;
}

std::optional<Mapping> mapping_of(const json& entry) {
    const auto mode = tls_mode(text(entry, "tls"));
    const std::uint64_t id = number(entry, "id");
    const std::uint64_t port = number(entry, "port");
    Mapping mapping;
    mapping.id = static_cast<std::uint32_t>(id);
    mapping.domain = text(entry, "domain");
    mapping.port = static_cast<std::uint16_t>(port);
    mapping.tls = mode.value_or(TlsMode::Node);
    mapping.certificate = text(entry, "certificate");
    mapping.private_key = text(entry, "private_key");
    if (!mode || id == 0 || id > UINT32_MAX || port == 0 || port > UINT16_MAX || mapping.domain.empty())
        return std::nullopt;
    return mapping;
}

// The target of a mapping as p2prcd gives it, a loopback address or nothing, and what clients can expect.
void read_target(const json& entry, Mapping& mapping) {
    const auto address = net::Address::parse(text(entry, "address"));
    mapping.address = address && address->is_loopback() ? std::optional(*address) : std::nullopt;
    mapping.availability =
        availability_from_name(text(entry, "availability")).value_or(Availability::Running);
    constexpr std::chrono::milliseconds longest = UpdateSpec::longest_hold;
    mapping.hold =
        std::chrono::milliseconds(std::min<std::uint64_t>(number(entry, "hold_ms"), longest.count()));
    const auto groups = entry.find("groups");
    if (groups == entry.end() || !groups->is_array()) return;
    for (const json& group : *groups)
        if (group.is_number_unsigned()) mapping.groups.insert(group.get<std::uint64_t>());
}

// The elements of the list under `key`; none if it is not a list.
const json& list(const json& document, const char* key) {
    static const json none = json::array();
    const auto found = document.find(key);
    return found != document.end() && found->is_array() ? *found : none;
}

MappingTable read_table(const json& document) {
    MappingTable table;
    for (const json& entry : list(document, "edges"))
        if (entry.is_object())
            if (auto edge = edge_of(entry)) table.edges.push_back(std::move(*edge));
    for (const json& entry : list(document, "mappings"))
        if (entry.is_object())
            if (auto mapping = mapping_of(entry)) table.mappings.emplace(mapping->id, std::move(*mapping));
    if (std::string acme = text(document, "acme"); !acme.empty()) table.acme = std::move(acme);
    table.zone = text(document, "zone");
    for (const json& entry : list(document, "name_servers"))
        if (const auto address = net::Address::parse(entry.is_string() ? entry.get<std::string>() : ""))
            table.name_servers.insert(*address);
    return table;
}

constexpr std::array<std::string_view, 2> edge_keys{"address", "key"};
constexpr std::array<std::string_view, 6> mapping_keys{"id",  "domain",      "port",
                                                       "tls", "certificate", "private_key"};
constexpr std::array<std::string_view, 2> top_keys{"edge", "mapping"};

// Every entry of [[key]] has only `known` keys and can be read.
template <class Read>
Result<void> check_tables(const json& document, const char* key, std::span<const std::string_view> known,
                          const Locate& locate, Read read, std::string_view hint) {
    if (document.contains(key) && !document.at(key).is_array())
        return std::unexpected(bad_key(locate, key, fmt::format("must be written [[{}]]", key)));
    std::size_t index = 0;
    for (const json& entry : list(document, key)) {
        const std::string path = fmt::format("{}[{}]", key, index++);
        if (!entry.is_object()) return std::unexpected(bad_key(locate, path, "is not a table"));
        const Result<void> checked = check_known_keys(entry, path, known, locate);
        if (!checked) return checked;
        if (!read(entry))
            return std::unexpected(
                bad_key(locate, path, "is incomplete or has a bad value", std::string(hint)));
    }
    return {};
}

} // namespace

Result<MappingTable> mapping_table_from_json(const json& document) {
    if (!document.is_object()) return fail(ErrorCode::InvalidSpec, "the mappings are not an object");
    MappingTable table = read_table(document);
    for (const json& entry : list(document, "mappings")) {
        const auto mapping = entry.is_object()
                                 ? table.mappings.find(static_cast<std::uint32_t>(number(entry, "id")))
                                 : table.mappings.end();
        if (mapping != table.mappings.end()) read_target(entry, mapping->second);
    }
    return table;
}

Result<MappingTable> mapping_table_from_toml(std::string_view source, const std::string& file) {
    const Result<TomlDocument> toml = parse_toml(source, file);
    if (!toml) return std::unexpected(toml.error());
    const json& document = toml->document;
    const Locate locate = toml->locate();
    if (auto checked = check_known_keys(document, "", top_keys, locate); !checked)
        return std::unexpected(checked.error());
    if (auto checked =
            check_tables(document, "edge", edge_keys, locate, edge_of,
                         "address = \"203.0.113.1:443\" and key = the edge's fingerprint, 64 digits");
        !checked)
        return std::unexpected(checked.error());
    if (auto checked = check_tables(document, "mapping", mapping_keys, locate, mapping_of,
                                    "id and port from 1, domain, and tls = \"passthrough\" or \"node\"");
        !checked)
        return std::unexpected(checked.error());
    json renamed = {{"edges", list(document, "edge")}, {"mappings", list(document, "mapping")}};
    return read_table(renamed);
}

} // namespace p2prc::connector
