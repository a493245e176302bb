// What this machine's p2prcd tells its connector: the edges to connect to, and the target of each mapping.
#pragma once

#include "core/availability.h"
#include "core/error.h"
#include "core/records.h"
#include "net/address.h"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace p2prc::connector {

struct EdgeAddress {
    net::Endpoint address;
    std::string key; // fingerprint
    friend bool operator==(const EdgeAddress&, const EdgeAddress&) = default;
};

struct Mapping {
    std::uint32_t id = 0;
    std::string domain;
    std::uint16_t port = 0;
    TlsMode tls = TlsMode::Node;
    // Only in a file of mappings: PEM files to terminate TLS with. Empty: p2prcd provides a certificate.
    std::string certificate = {};
    std::string private_key = {};
    // The loopback address to dial; nothing: the process is not available now.
    std::optional<net::Address> address = net::Address::v4({127, 0, 0, 1});
    // The control groups whose sockets may answer there; empty: any.
    std::set<std::uint64_t> groups = {};
    Availability availability = Availability::Running;
    // How long clients wait for the process while it is on its way; 0: not at all.
    std::chrono::milliseconds hold{0};
    friend bool operator==(const Mapping&, const Mapping&) = default;
};

struct MappingTable {
    std::vector<EdgeAddress> edges;
    std::string zone;          // of the fleet
    std::string acme = "none"; // the directory's URL, or "none": the fleet's own web CA
    std::map<std::uint32_t, Mapping> mappings;
    // On the root, where the edge is dialled over the loopback: addresses at which its DNS server may answer.
    std::set<net::Address> name_servers;
    friend bool operator==(const MappingTable&, const MappingTable&) = default;
};

// As GetMappings answers; and the file's document. Tolerant: entries that cannot be read are left out.
Result<MappingTable> mapping_table_from_json(const nlohmann::json& document);
// A file of mappings, for running without p2prcd. Strict; errors carry file, line and key.
Result<MappingTable> mapping_table_from_toml(std::string_view text, const std::string& file);

} // namespace p2prc::connector
