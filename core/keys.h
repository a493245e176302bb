// The families of keys in the fleet's state: one table that says what each is, whose it is and what it
// concerns, and the functions that make keys and take them apart.
//
// A new family is a row of the table in keys.cpp, and its maker here. Who may write it, what goes with a
// node, what is uploaded and which objects on the bus change with it follow from the row.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace p2prc::keys {

// Who writes the keys of a family, and who gets to see them.
enum class Kind {
    Agreed,   // the registry, on a request that it may refuse; every node
    Registry, // the registry, by itself; every node
    Owned,    // the node that the key names, in its own state, from which it is uploaded; every node
    Folded,   // the same, but the registry does not store it: it changes the agreed records accordingly
    Local,    // the node, in its own state; nobody else
    Private,  // the registry, in a table of its own; nobody else
};

// What a key has after the prefix of its family, between slashes. An owner is a node that has spun processes
// here: the key is a word of this node about it, and follows it to another name (state/owner_notes.h).
enum class Part : std::uint8_t { None, Node, Process, Id, Domain, Digest, Owner };

// Where a key names the node that it belongs to; a set of these.
inline constexpr unsigned node_in_key = 1;
inline constexpr unsigned node_in_value = 2; // member "node"

// Objects on the bus whose properties depend on a key; a set of these.
inline constexpr unsigned process_objects = 1;
inline constexpr unsigned node_objects = 2;
inline constexpr unsigned domain_objects = 4;

// Against which limit of a node's share (registry/quota.h) a key counts.
enum class Share { None, Processes, Domains, Owned, Offers };

// Whether a node acts upon a document that came from the registry; InvalidSpec says why not.
using Gate = Result<void> (*)(std::string_view key, const nlohmann::json& document);

struct Family {
    std::string_view prefix; // one that ends without a slash is a single key
    Kind kind = Kind::Agreed;
    std::array<Part, 2> parts{};    // None: no more
    unsigned node = 0;              // node_in_key, node_in_value
    bool dropped_with_node = false; // when its node leaves the fleet
    bool renamed_with_node =
        false; // when its node gets another name; otherwise it is erased, and the node writes it again
    bool durable = false;   // on a replica's disk before what comes after it is
    unsigned announces = 0; // process_objects, node_objects, domain_objects
    Share share = Share::None;
    Gate gate = nullptr; // none: readers judge each member by itself

    // Zero for a single key.
    constexpr std::size_t part_count() const noexcept {
        return parts[1] != Part::None ? 2 : parts[0] != Part::None ? 1 : 0;
    }
    // What its keys are about: their last part. None for a single key.
    constexpr Part subject() const noexcept { return parts[1] != Part::None ? parts[1] : parts[0]; }
    // Sent to the registry by the node that owns it.
    bool is_uploaded() const noexcept { return kind == Kind::Owned || kind == Kind::Folded; }
    // Owned by a node, in the table that this very node writes.
    bool is_own() const noexcept { return is_uploaded() || kind == Kind::Local; }
    // Against the share of the node that the key names, whatever the document says.
    bool counts_by_key() const noexcept { return share == Share::Owned || share == Share::Offers; }
};

// In the order of the documentation. Valid until the program ends.
std::span<const Family* const> families() noexcept;

// nullptr: none has such keys.
const Family* family_of(std::string_view key) noexcept;

// A key taken apart. It points into the text that it was made of.
struct Key {
    const Family* family = nullptr;
    std::array<std::string_view, 2> parts{};

    // The part of that kind; empty when there is none.
    std::string_view part(Part kind) const noexcept;
    // The node that the key names; empty when it names none.
    std::string_view node() const noexcept { return part(Part::Node); }
    std::uint32_t id() const noexcept; // of Part::Id; 0: there is none
    // What the key is about: its last part. Empty for a single key.
    std::string_view subject() const noexcept;
};

// Nothing when no family has such keys, or its form is not that of its family: parts are not empty, an id is
// a number as it is printed. What the parts say is not looked at.
std::optional<Key> parse(std::string_view key) noexcept;

// What follows the last slash: NAME of "/processes/NAME".
std::string_view last_part(std::string_view key) noexcept;
// A number without zeros in front.
std::optional<std::uint32_t> id_from_text(std::string_view text) noexcept;

// All keys of the family that name the node, which must be the first part: "/status/NODE/". A family with
// one key a node has that key.
std::string of_node(const Family& family, std::string_view node);

// Prefixes of the families.
inline constexpr std::string_view fleet = "/fleet"; // the only key of its family
inline constexpr std::string_view nodes = "/nodes/";
inline constexpr std::string_view processes = "/processes/";
inline constexpr std::string_view tombstones = "/tombstones/";
inline constexpr std::string_view domains = "/domains/";
inline constexpr std::string_view challenges = "/challenges/";
inline constexpr std::string_view liveness = "/live/";
inline constexpr std::string_view statuses = "/status/";
inline constexpr std::string_view stop_lists = "/stops/";
inline constexpr std::string_view infos = "/info/";
inline constexpr std::string_view certificates = "/certificates/";
inline constexpr std::string_view servings = "/serving/";
inline constexpr std::string_view tunnels = "/tunnels/";
inline constexpr std::string_view edges = "/edge/";
inline constexpr std::string_view local_actions = "/local/";
inline constexpr std::string_view spun_here = "/spun/";
inline constexpr std::string_view killed_here = "/killed/";
inline constexpr std::string_view paused_here = "/paused/";
inline constexpr std::string_view paused_owners = "/paused-owners/";
inline constexpr std::string_view owner_limits = "/owner-limits/";
inline constexpr std::string_view offers = "/offers/";
inline constexpr std::string_view invitations = "invitations/";
inline constexpr std::string_view counters = "counters/";

std::string node(std::string_view name);
std::string process(std::string_view name);
std::string tombstone(std::uint32_t id);
std::string domain(std::string_view fqdn);
// The last part is made from `value`, which is the challenge's.
std::string challenge(std::string_view fqdn, std::string_view value);
std::string challenges_of(std::string_view fqdn);            // the prefix of all of a domain's
std::string live(std::string_view node);                     // {"state": "up|suspect|lost", "since", "heard"}
std::string status(std::string_view node, std::uint32_t id); // ProcessStatus
std::string status_prefix(std::string_view node);
std::string stops(std::string_view node, std::uint32_t id); // see core/stop_history.h
std::string stops_prefix(std::string_view node);
std::string node_info(std::string_view node);                          // addresses and measurements
std::string certificate(std::string_view node, std::string_view fqdn); // CertificateStatus
std::string certificate_prefix(std::string_view node);
// {"state": "ok", "failing" or "unknown", "reason", "at": RFC 3339, since when}.
std::string serving(std::string_view node, std::string_view fqdn);
// {"up": bool, "detail": why it is not, "since"} of the sessions of the node's connector with the edge. While
// it has not been up yet: {"connecting": since when, RFC 3339}.
std::string tunnel(std::string_view node);
// The same of the edge on the fleet's root.
std::string edge(std::string_view node);
// What a user of the node asked of a process that runs there while the registry was away: LocalAction.
std::string local_action(std::string_view node, std::uint32_t id);
std::string local_prefix(std::string_view node);
// A process that was asked for on this very node; see state/origins.h.
std::string spun(std::string_view digest);
// A process of this node that was killed; see daemon/fleet/kills.h.
std::string killed(std::uint32_t id);
// What the owner of this machine has paused; see state/pauses.h.
std::string paused(std::string_view process);
std::string paused_owner(std::string_view node);
// What the processes of a node may use of this machine; see state/owner_limits.h.
std::string owner_limit(std::string_view node);
// A process of the node that a registry restored from an older copy does not know, or not with all its
// domains:
// {"process", "domains"}; and the registry's answer, while not all of it was taken in: "refused": why;
// "refused_domains": {domain: why}; "removed_domains": those that the copy knew.
std::string offer(std::string_view node, std::uint32_t id);
std::string offer_prefix(std::string_view node);
// In the registry's private table.
std::string invitation(std::string_view id);
std::string counter(std::string_view name);

// One more row while it lives: for tests of what follows from the table.
class ExtraFamily {
  public:
    explicit ExtraFamily(Family family);
    ~ExtraFamily();
    ExtraFamily(const ExtraFamily&) = delete;
    ExtraFamily& operator=(const ExtraFamily&) = delete;

  private:
    Family family_;
};

} // namespace p2prc::keys
