// The documents of agreed state: what the registry stores under /fleet, /nodes, /processes, /domains.
//
// Each has a key function, a JSON form with a schema version and a tolerant reader that keeps the fields it
// does not know (`unknown`), so that an older program keeps what a newer one has written.
#pragma once

#include "core/keys.h"
#include "core/labels.h"
#include "core/process_spec.h"
#include "core/remedy_progress.h"
#include "core/revision.h"
#include "core/stop_reason.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// /fleet
struct FleetRecord {
    std::string id;                      // 128 random bits, hexadecimal
    std::string zone;                    // "home.example"; empty: a fleet without a root
    std::string root;                    // name of the root node
    std::vector<std::string> public_ips; // of the root, IPv4 and IPv6
    std::string acme = "none";           // directory URL, or "none"
    std::string web_ca;                  // PEM of the web CA's certificate (public part)
    nlohmann::json unknown;              // an object, or null: nothing
};

enum class Role { Owner, Member };
std::string_view role_name(Role role) noexcept;
std::optional<Role> role_from_name(std::string_view name) noexcept;

// /nodes/<name>
struct NodeRecord {
    std::string name;
    std::string key;           // fingerprint of p2prcd's key, the node's identity
    std::string edge_key;      // fingerprint of its edge's key; empty: no edge
    std::string connector_key; // fingerprint of its connector's key; empty: no connector yet
    Role role = Role::Member;
    std::string joined_at; // RFC 3339
    Labels labels;
    Custom custom;
    bool draining = false;  // no process is placed there any more
    nlohmann::json unknown; // an object, or null: nothing
};

enum class Desired { Running, Stopped };

// /processes/<name>
struct ProcessRecord {
    std::uint32_t id = 0; // unique in the fleet, never used again
    // Ids that it had in registries before this one: what its node runs may still carry one of them.
    std::vector<std::uint32_t> former_ids;
    std::string name;
    std::string node;
    Desired desired = Desired::Running;
    std::uint64_t change = 1; // counts stop, start and restart: a restart is a change with the same `desired`
    std::string changed_by;   // who asked for the last change, for StopReason::by
    std::optional<std::uint16_t> port; // bound: the spec's, or the one chosen for port 0
    std::uint64_t epoch = 1;
    ProcessSpec spec;
    std::string digest;
    std::string created_at;
    std::string created_by; // "user@node"
    // The present specification is this revision of it; an update or a rollback is the next.
    std::uint32_t revision = 1;
    Outcome outcome = Outcome::Pending; // of it, as far as the registry has heard
    std::string revised_by;             // who made it, and when; empty: it is as it was created
    std::string revised_at;
    std::uint32_t deployment = 0; // these three as those of a revision
    std::uint32_t rollback_of = 0;
    std::string revision_data;
    std::vector<Revision> former;  // the others that are kept, by number; one that was not kept may be later
    std::vector<RemedyMove> moves; // by its remedies, within a day, since somebody last changed it
    Custom custom;                 // what people note about it: no part of its specification
    std::string move_refused;      // why the last one that its node asked for was not made; empty: none
    nlohmann::json unknown;        // an object, or null: nothing
};

// All that it may bind: the bound one and the further ones of its spec, ascending.
std::vector<std::uint16_t> ports_of(const ProcessRecord& process);
// The same of another revision of it.
std::vector<std::uint16_t> ports_of(const Revision& revision);

// /tombstones/<process id>: a killed process. Absence never kills; this does. Removed once its node has
// reported.
struct Tombstone {
    std::uint32_t id = 0;
    std::string name;
    std::string node;
    std::string by;
    std::string at;
    std::vector<std::uint32_t> former_ids = {}; // of the process
};

enum class TlsMode { Passthrough, Node };
std::string_view tls_mode_name(TlsMode mode) noexcept;
// Why a domain is not served whose process should terminate TLS; its connector finds this out.
constexpr std::string_view not_tls_reason = "the process does not answer with TLS";

// /domains/<fqdn>
struct DomainRecord {
    std::uint32_t mapping_id =
        0; // unique in the fleet, never used again: what the tunnel's flow header carries
    std::string domain;
    std::string process;          // name; it need not exist (state `waiting`)
    std::uint32_t process_id = 0; // 0 while it does not exist
    std::string node;             // that runs the process; empty while it does not exist
    TlsMode tls = TlsMode::Node;
    std::uint16_t port = 0; // on the node's loopback
    bool from_file = false; // made by a process file: goes with the process
    std::string created_by;
    nlohmann::json unknown; // an object, or null: nothing
};

// /challenges/<fqdn>/<digest of value>: a DNS-01 key authorisation published by the holder of the mapping.
struct ChallengeRecord {
    std::string domain; // the mapped domain, without `_acme-challenge.`
    std::string value;  // TXT data
    std::string node;
    std::int64_t expires = 0; // Unix seconds
};

// /certificates/<fqdn>, owned by the node that serves the mapping and uploaded with its status.
struct CertificateStatus {
    std::string domain;
    std::string state;  // "none", "pending", "ready", "failed"
    std::string detail; // why it failed, or the issuer
    std::string not_after;
};

nlohmann::json to_json(const FleetRecord&);
nlohmann::json to_json(const NodeRecord&);
nlohmann::json to_json(const ProcessRecord&);
nlohmann::json to_json(const Tombstone&);
nlohmann::json to_json(const DomainRecord&);
nlohmann::json to_json(const ChallengeRecord&);
nlohmann::json to_json(const CertificateStatus&);

// Tolerant: wrong or missing members take their default; only a document that is not an object, or a process
// whose spec cannot be read, is an error.
Result<FleetRecord> fleet_from_json(const nlohmann::json&);
Result<NodeRecord> node_from_json(const nlohmann::json&);
Result<ProcessRecord> process_from_json(const nlohmann::json&);
Result<Tombstone> tombstone_from_json(const nlohmann::json&);
Result<DomainRecord> domain_from_json(const nlohmann::json&);
Result<ChallengeRecord> challenge_from_json(const nlohmann::json&);
Result<CertificateStatus> certificate_from_json(const nlohmann::json&);

} // namespace p2prc
