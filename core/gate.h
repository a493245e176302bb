// The gate through which documents of agreed state enter a machine: from the root, from an older file, or
// with a node that joins.
//
// Names in them become names of units, directories and keys of state, and texts become lines of units, of
// logs and of messages. A root that is faulty, or that an attacker has taken over, must not choose any of
// these freely: the readers of records.h are tolerant, so each document is checked here before anybody acts
// upon it. A document that is not accepted is InvalidSpec, and the message names its key and what is wrong
// with it.
#pragma once

#include "core/records.h"

namespace p2prc {

// A root has no more addresses than this, and the certificate of its web CA no more bytes.
inline constexpr std::size_t most_public_ips = 32;
inline constexpr std::size_t longest_web_ca = 16384;
// A process that has moved between registries more often is no longer recognised by its oldest ids.
inline constexpr std::size_t most_former_ids = 16;

// Of `change`, `epoch` and `local_sequence`, which count what people ask for: a larger number was made up.
// The sum of two does not overflow.
inline constexpr std::uint64_t largest_count = std::uint64_t{1} << 53;

// A node may have applied later changes than its record counts, by as many as this: its registry was restored
// from an older copy, and catches up. If the node is further ahead, one of the two numbers was made up, and
// the record counts.
inline constexpr std::uint64_t most_changes_ahead = std::uint64_t{1} << 30;

// `key` is the one under which the document is stored. For all: the name in it is the last part of the key
// and has the form of such a name; ids are there; texts are short and without control characters.

// The name is that of the specification, too, and the port is one that the specification declares.
Result<ProcessRecord> accept_process(std::string_view key, const nlohmann::json& document);
// The key ends with its id.
Result<Tombstone> accept_tombstone(std::string_view key, const nlohmann::json& document);
// It either waits for its process, or has the process's id, node and port.
Result<DomainRecord> accept_domain(std::string_view key, const nlohmann::json& document);
Result<NodeRecord> accept_node(std::string_view key, const nlohmann::json& document);
// The key is that of its domain and value; the value is a digest, and its name fits into DNS.
Result<ChallengeRecord> accept_challenge(std::string_view key, const nlohmann::json& document);

// Zone and root are names or empty, the addresses are IP addresses, and certificates come from "none" or an
// https URL; the web CA's certificate has no character that PEM has not.
Result<FleetRecord> accept_fleet(std::string_view key, const nlohmann::json& document);
// The process in an offer, which is accepted as if it were stored; the key is that of its node and id.
Result<ProcessRecord> accept_offer(std::string_view key, const nlohmann::json& document);

// Whether lists show a process that accept_process() refuses: it has the name in the key, an id, and the name
// of a node. People copy these into commands.
bool is_listable(std::string_view key, const ProcessRecord& process);

// Whether `acme` says where certificates come from: "none" is the fleet's own web CA, an https URL is an ACME
// directory (RFC 8555 section 6.1).
bool is_acme_source(std::string_view acme) noexcept;

// The same for a row of the table of families.
template <auto accept>
Result<void> check_document(std::string_view key, const nlohmann::json& document) {
    const auto record = accept(key, document);
    if (!record) return std::unexpected(record.error());
    return {};
}

} // namespace p2prc
