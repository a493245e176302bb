#include "core/gate.h"

#include "core/ip_text.h"
#include "core/json_members.h"
#include "core/local_action.h"
#include "core/names.h"
#include "core/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

namespace p2prc {
namespace {

using Json = nlohmann::json;

// Longer than any that p2prc writes: "user@node", times, digests.
constexpr std::size_t longest_text = 200;

std::unexpected<Error> refuse(std::string_view key, std::string_view why) {
    return fail(ErrorCode::InvalidSpec, fmt::format("{} is not accepted: {}", text::excerpt(key), why),
                "the registry of the fleet's root node holds it; look there");
}

// Nothing, or why not.
std::string check_texts(std::initializer_list<std::pair<std::string_view, const std::string*>> texts) {
    for (const auto& [what, value] : texts) {
        if (value->size() > longest_text) return fmt::format("its {} is too long", what);
        if (!text::fits_bus(*value) || text::has_controls(*value))
            return fmt::format("its {} has characters that do not belong there", what);
    }
    return {};
}

std::string check_name(std::string_view key, const std::string& expected, std::string_view name) {
    if (key == expected) return {};
    return fmt::format("the name in it is '{}'", text::excerpt(name));
}

std::string words(const Result<void>& checked) {
    return checked ? std::string() : checked.error().message;
}

std::string check_port(const ProcessSpec& spec, const std::optional<std::uint16_t>& port) {
    if (!port) return {};
    if (*port == 0) return "its port is 0";
    const auto& declared = spec.port;
    if (!declared || (*declared != 0 && *declared != *port))
        return fmt::format("its port {} is not the one that its specification declares", *port);
    return {};
}

std::string check_counts(const ProcessRecord& process) {
    for (const auto& [what, count] : {std::pair{"change", process.change},
                                      {"epoch", process.epoch},
                                      {"local_sequence", folded_sequence(process)}})
        if (count > largest_count) return fmt::format("its {} is {}, which nobody has counted", what, count);
    return {};
}

// A former revision becomes the present one when an update is rolled back, so it must pass the same.
std::string check_former(const ProcessRecord& process) {
    if (process.former.size() > most_former_revisions + 1) return "it has too many former revisions";
    for (const auto& revision : process.former) {
        if (revision.number == 0 || revision.number > largest_revision || revision.number == process.revision)
            return "a former revision has the number of another, or none";
        if (revision.spec.name != process.name)
            return fmt::format("the name in a former revision is '{}'", text::excerpt(revision.spec.name));
        if (auto why = check_port(revision.spec, revision.port); !why.empty()) return why;
        if (auto why =
                check_texts({{"digest", &revision.digest}, {"by", &revision.by}, {"at", &revision.at}});
            !why.empty())
            return why;
    }
    return {};
}

std::string check(std::string_view key, const ProcessRecord& process) {
    if (auto why = words(check_process_name(process.name)); !why.empty()) return why;
    if (auto why = check_name(key, keys::process(process.name), process.name); !why.empty()) return why;
    if (process.name != process.spec.name)
        return fmt::format("the name in its specification is '{}'", text::excerpt(process.spec.name));
    if (auto why = words(check_node_name(process.node)); !why.empty()) return why;
    if (process.id == 0) return "it has no id";
    if (process.former_ids.size() > most_former_ids) return "it has too many former ids";
    if (auto why = check_port(process.spec, process.port); !why.empty()) return why;
    if (auto why = check_counts(process); !why.empty()) return why;
    if (process.revision == 0 || process.revision > largest_revision)
        return fmt::format("its revision is {}, which nobody has counted", process.revision);
    if (auto why = check_former(process); !why.empty()) return why;
    return check_texts({{"changed_by", &process.changed_by},
                        {"digest", &process.digest},
                        {"created_at", &process.created_at},
                        {"created_by", &process.created_by},
                        {"revised_at", &process.revised_at},
                        {"revised_by", &process.revised_by}});
}

std::string check(std::string_view key, const Tombstone& tombstone) {
    if (tombstone.id == 0) return "it has no id";
    if (key != keys::tombstone(tombstone.id)) return fmt::format("the id in it is {}", tombstone.id);
    if (auto why = words(check_process_name(tombstone.name)); !why.empty()) return why;
    if (auto why = words(check_node_name(tombstone.node)); !why.empty()) return why;
    if (tombstone.former_ids.size() > most_former_ids) return "it has too many former ids";
    return check_texts({{"by", &tombstone.by}, {"at", &tombstone.at}});
}

std::string check_serving(const DomainRecord& domain) {
    if (domain.process_id == 0)
        return domain.node.empty() && domain.port == 0 ? "" : "it has a node or a port, but no process";
    if (domain.port == 0) return "it has a process, but no port";
    return words(check_node_name(domain.node));
}

std::string check(std::string_view key, const DomainRecord& domain) {
    const auto normal = normalize_domain(domain.domain);
    if (!normal) return normal.error().message;
    if (*normal != domain.domain)
        return fmt::format("domain '{}' is not written in its normal form", text::excerpt(domain.domain));
    if (auto why = check_name(key, keys::domain(domain.domain), domain.domain); !why.empty()) return why;
    if (domain.mapping_id == 0) return "it has no mapping id";
    if (auto why = words(check_process_name(domain.process)); !why.empty()) return why;
    if (auto why = check_serving(domain); !why.empty()) return why;
    return check_texts({{"created_by", &domain.created_by}});
}

std::string check(std::string_view key, const NodeRecord& node) {
    if (auto why = words(check_node_name(node.name)); !why.empty()) return why;
    if (auto why = check_name(key, keys::node(node.name), node.name); !why.empty()) return why;
    for (const auto& [what, value] :
         {std::pair{"key", &node.key}, {"edge_key", &node.edge_key}, {"connector_key", &node.connector_key}})
        if (!value->empty() && !is_fingerprint(*value))
            return fmt::format("its {} is not a key's fingerprint", what);
    return check_texts({{"joined_at", &node.joined_at}});
}

std::string check(std::string_view key, const ChallengeRecord& challenge) {
    const auto name = challenge_name(challenge.domain);
    if (!name) return name.error().message;
    if (!is_challenge_value(challenge.value)) return "its value is not the digest of a key authorisation";
    if (key != keys::challenge(challenge.domain, challenge.value))
        return "its key is not that of its domain and value";
    return words(check_node_name(challenge.node));
}

// RFC 7468 section 3: lines of ASCII.
bool is_pem_text(std::string_view text) {
    return text.size() <= longest_web_ca &&
           std::ranges::all_of(text, [](char c) { return (c >= ' ' && c <= '~') || c == '\n' || c == '\r'; });
}

std::string check(std::string_view /* the only one */, const FleetRecord& fleet) {
    if (!fleet.zone.empty()) {
        const auto normal = normalize_domain(fleet.zone);
        if (!normal) return normal.error().message;
        if (*normal != fleet.zone || normal->starts_with("*"))
            return fmt::format("zone '{}' is not written in its normal form", text::excerpt(fleet.zone));
    }
    if (!fleet.root.empty())
        if (auto why = words(check_node_name(fleet.root)); !why.empty()) return why;
    if (fleet.public_ips.size() > most_public_ips) return "it has too many public addresses";
    for (const auto& address : fleet.public_ips)
        if (!ip_family(address))
            return fmt::format("public address '{}' is no IP address", text::excerpt(address));
    if (!fleet.acme.empty() && !is_acme_source(fleet.acme))
        return fmt::format("'{}' is no ACME directory", text::excerpt(fleet.acme));
    if (!is_pem_text(fleet.web_ca)) return "the certificate of its web CA is no PEM text";
    return check_texts({{"id", &fleet.id}});
}

template <class Record>
Result<Record> accept(std::string_view key, Result<Record> record) {
    if (!record) return refuse(key, record.error().message);
    if (const auto why = check(key, *record); !why.empty()) return refuse(key, why);
    return record;
}

} // namespace

Result<ProcessRecord> accept_process(std::string_view key, const Json& document) {
    return accept(key, process_from_json(document));
}

Result<Tombstone> accept_tombstone(std::string_view key, const Json& document) {
    return accept(key, tombstone_from_json(document));
}

Result<DomainRecord> accept_domain(std::string_view key, const Json& document) {
    return accept(key, domain_from_json(document));
}

Result<NodeRecord> accept_node(std::string_view key, const Json& document) {
    return accept(key, node_from_json(document));
}

Result<ChallengeRecord> accept_challenge(std::string_view key, const Json& document) {
    return accept(key, challenge_from_json(document));
}

Result<FleetRecord> accept_fleet(std::string_view key, const Json& document) {
    return accept(key, fleet_from_json(document));
}

Result<ProcessRecord> accept_offer(std::string_view key, const Json& document) {
    if (!document.is_object() || !document.contains("process")) return refuse(key, "it has no process");
    const auto& process = document["process"];
    auto record = accept_process(keys::process(json::member<std::string>(process, "name")), process);
    if (record && key != keys::offer(record->node, record->id))
        return refuse(key, "its key is not that of its node and id");
    return record;
}

bool is_listable(std::string_view key, const ProcessRecord& process) {
    return process.id != 0 && check_process_name(process.name) && check_node_name(process.node) &&
           key == keys::process(process.name);
}

bool is_acme_source(std::string_view acme) noexcept {
    constexpr std::string_view scheme = "https://";
    constexpr std::size_t longest_url = 2048;
    return acme == "none" ||
           (acme.starts_with(scheme) && acme.size() > scheme.size() && acme.size() <= longest_url &&
            std::ranges::all_of(acme, [](char c) { return c > ' ' && c <= '~' && c != '"'; }));
}

} // namespace p2prc
