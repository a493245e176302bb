#include "core/records.h"

#include "core/json_members.h"

#include <fmt/format.h>

#include <set>

namespace p2prc {
namespace {

using Json = nlohmann::json;
using json::member;
using json::optional_member;

constexpr int schema = 1;

// Known members over the unknown ones that were read.
Json with_unknown(const Json& unknown, Json known) {
    Json document = unknown.is_object() ? unknown : Json::object();
    document["schema"] = schema;
    document.update(known);
    return document;
}

Result<void> check_object(const Json& document, std::string_view what) {
    if (document.is_object()) return {};
    return fail(ErrorCode::Failed, fmt::format("the stored {} is not an object", what),
                "the store is damaged; restore it from a backup");
}

} // namespace

std::string_view role_name(Role role) noexcept {
    return role == Role::Owner ? "owner" : "member";
}

std::optional<Role> role_from_name(std::string_view name) noexcept {
    if (name == "owner") return Role::Owner;
    if (name == "member") return Role::Member;
    return std::nullopt;
}

std::string_view tls_mode_name(TlsMode mode) noexcept {
    return mode == TlsMode::Node ? "node" : "passthrough";
}

Json to_json(const FleetRecord& fleet) {
    return with_unknown(fleet.unknown, {{"id", fleet.id},
                                        {"zone", fleet.zone},
                                        {"root", fleet.root},
                                        {"public_ips", fleet.public_ips},
                                        {"acme", fleet.acme},
                                        {"web_ca", fleet.web_ca}});
}

Result<FleetRecord> fleet_from_json(const Json& document) {
    if (auto checked = check_object(document, "fleet"); !checked) return std::unexpected(checked.error());
    FleetRecord fleet;
    fleet.id = member<std::string>(document, "id");
    fleet.zone = member<std::string>(document, "zone");
    fleet.root = member<std::string>(document, "root");
    fleet.public_ips = member<std::vector<std::string>>(document, "public_ips");
    fleet.acme = member<std::string>(document, "acme", "none");
    fleet.web_ca = member<std::string>(document, "web_ca");
    fleet.unknown =
        json::unknown_members(document, {"schema", "id", "zone", "root", "public_ips", "acme", "web_ca"});
    return fleet;
}

Json to_json(const NodeRecord& node) {
    auto document = with_unknown(node.unknown, {{"name", node.name},
                                                {"key", node.key},
                                                {"edge_key", node.edge_key},
                                                {"connector_key", node.connector_key},
                                                {"role", role_name(node.role)},
                                                {"joined_at", node.joined_at}});
    if (!node.labels.empty()) document["labels"] = node.labels;
    if (!node.custom.empty()) document["custom"] = node.custom;
    if (node.draining) document["draining"] = true;
    return document;
}

Result<NodeRecord> node_from_json(const Json& document) {
    if (auto checked = check_object(document, "node"); !checked) return std::unexpected(checked.error());
    NodeRecord node;
    node.name = member<std::string>(document, "name");
    node.key = member<std::string>(document, "key");
    node.edge_key = member<std::string>(document, "edge_key");
    node.connector_key = member<std::string>(document, "connector_key");
    // A role of a later version must not become more than it is.
    node.role = role_from_name(member<std::string>(document, "role")).value_or(Role::Member);
    node.joined_at = member<std::string>(document, "joined_at");
    node.labels = labels_from_json(document.value("labels", Json()));
    node.custom = custom_from_json(document.value("custom", Json()));
    node.draining = member<bool>(document, "draining");
    node.unknown = json::unknown_members(document, {"schema", "name", "key", "edge_key", "connector_key",
                                                    "role", "joined_at", "labels", "custom", "draining"});
    return node;
}

Json to_json(const ProcessRecord& process) {
    auto document = with_unknown(process.unknown,
                                 {{"id", process.id},
                                  {"name", process.name},
                                  {"node", process.node},
                                  {"desired", process.desired == Desired::Running ? "running" : "stopped"},
                                  {"change", process.change},
                                  {"changed_by", process.changed_by},
                                  {"port", process.port ? Json(*process.port) : Json(nullptr)},
                                  {"epoch", process.epoch},
                                  {"spec", spec_to_document(process.spec)},
                                  {"digest", process.digest},
                                  {"created_at", process.created_at},
                                  {"created_by", process.created_by}});
    if (!process.former_ids.empty()) document["former_ids"] = process.former_ids;
    // Of most processes there is one revision only.
    if (process.revision != 1) document["revision"] = process.revision;
    if (process.outcome != Outcome::Pending) document["outcome"] = outcome_name(process.outcome);
    if (!process.revised_by.empty()) document["revised_by"] = process.revised_by;
    if (!process.revised_at.empty()) document["revised_at"] = process.revised_at;
    if (process.deployment != 0) document["deployment"] = process.deployment;
    if (process.rollback_of != 0) document["rollback_of"] = process.rollback_of;
    if (!process.revision_data.empty()) document["revision_data"] = process.revision_data;
    for (const auto& revision : process.former)
        document["former"].push_back(to_json(revision));
    for (const auto& move : process.moves)
        document["moves"].push_back(to_json(move));
    if (!process.move_refused.empty()) document["move_refused"] = process.move_refused;
    if (!process.custom.empty()) document["custom"] = process.custom;
    return document;
}

Result<ProcessRecord> process_from_json(const Json& document) {
    if (auto checked = check_object(document, "process"); !checked) return std::unexpected(checked.error());
    auto spec = spec_from_stored(document.contains("spec") ? document["spec"] : Json::object());
    if (!spec) return std::unexpected(spec.error());
    ProcessRecord process;
    process.id = member<std::uint32_t>(document, "id");
    process.former_ids = member<std::vector<std::uint32_t>>(document, "former_ids");
    process.name = member<std::string>(document, "name");
    process.node = member<std::string>(document, "node");
    process.desired =
        member<std::string>(document, "desired") == "stopped" ? Desired::Stopped : Desired::Running;
    process.change = member<std::uint64_t>(document, "change", 1);
    process.changed_by = member<std::string>(document, "changed_by");
    process.port = optional_member<std::uint16_t>(document, "port");
    process.epoch = member<std::uint64_t>(document, "epoch", 1);
    process.spec = std::move(*spec);
    process.digest = member<std::string>(document, "digest");
    process.created_at = member<std::string>(document, "created_at");
    process.created_by = member<std::string>(document, "created_by");
    process.revision = member<std::uint32_t>(document, "revision", 1);
    process.outcome = outcome_from_name(member<std::string>(document, "outcome", "pending"));
    process.revised_by = member<std::string>(document, "revised_by");
    process.revised_at = member<std::string>(document, "revised_at");
    process.deployment = member<std::uint32_t>(document, "deployment");
    process.rollback_of = member<std::uint32_t>(document, "rollback_of");
    process.revision_data = member<std::string>(document, "revision_data");
    if (const auto former = document.find("former"); former != document.end() && former->is_array())
        for (const auto& each : *former)
            if (auto revision = revision_from_json(each)) process.former.push_back(std::move(*revision));
    if (const auto moves = document.find("moves"); moves != document.end() && moves->is_array())
        for (const auto& each : *moves)
            if (process.moves.size() < most_remedy_moves)
                process.moves.push_back(remedy_move_from_json(each));
    process.move_refused = member<std::string>(document, "move_refused");
    process.custom = custom_from_json(document.value("custom", Json()));
    process.unknown = json::unknown_members(
        document,
        {"schema",     "id",         "former_ids",  "name",         "node",   "desired",    "change",
         "changed_by", "port",       "epoch",       "spec",         "digest", "created_at", "created_by",
         "revision",   "outcome",    "revised_by",  "revised_at",   "former", "moves",      "move_refused",
         "custom",     "deployment", "rollback_of", "revision_data"});
    return process;
}

namespace {

std::vector<std::uint16_t> all_ports(std::optional<std::uint16_t> bound, const ProcessSpec& spec) {
    std::set<std::uint16_t> ports(spec.ports.begin(), spec.ports.end());
    if (bound) ports.insert(*bound);
    return {ports.begin(), ports.end()};
}

} // namespace

std::vector<std::uint16_t> ports_of(const ProcessRecord& process) {
    return all_ports(process.port, process.spec);
}

std::vector<std::uint16_t> ports_of(const Revision& revision) {
    return all_ports(revision.port, revision.spec);
}

Json to_json(const Tombstone& tombstone) {
    Json document{{"schema", schema},       {"id", tombstone.id}, {"name", tombstone.name},
                  {"node", tombstone.node}, {"by", tombstone.by}, {"at", tombstone.at}};
    if (!tombstone.former_ids.empty()) document["former_ids"] = tombstone.former_ids;
    return document;
}

Result<Tombstone> tombstone_from_json(const Json& document) {
    if (auto checked = check_object(document, "tombstone"); !checked) return std::unexpected(checked.error());
    return Tombstone{.id = member<std::uint32_t>(document, "id"),
                     .name = member<std::string>(document, "name"),
                     .node = member<std::string>(document, "node"),
                     .by = member<std::string>(document, "by"),
                     .at = member<std::string>(document, "at"),
                     .former_ids = member<std::vector<std::uint32_t>>(document, "former_ids")};
}

Json to_json(const DomainRecord& domain) {
    return with_unknown(domain.unknown, {{"mapping_id", domain.mapping_id},
                                         {"domain", domain.domain},
                                         {"process", domain.process},
                                         {"process_id", domain.process_id},
                                         {"node", domain.node},
                                         {"tls", tls_mode_name(domain.tls)},
                                         {"port", domain.port},
                                         {"from_file", domain.from_file},
                                         {"created_by", domain.created_by}});
}

Result<DomainRecord> domain_from_json(const Json& document) {
    if (auto checked = check_object(document, "domain"); !checked) return std::unexpected(checked.error());
    DomainRecord domain;
    domain.mapping_id = member<std::uint32_t>(document, "mapping_id");
    domain.domain = member<std::string>(document, "domain");
    domain.process = member<std::string>(document, "process");
    domain.process_id = member<std::uint32_t>(document, "process_id");
    domain.node = member<std::string>(document, "node");
    domain.tls = member<std::string>(document, "tls") == "passthrough" ? TlsMode::Passthrough : TlsMode::Node;
    domain.port = member<std::uint16_t>(document, "port");
    domain.from_file = member<bool>(document, "from_file");
    domain.created_by = member<std::string>(document, "created_by");
    domain.unknown =
        json::unknown_members(document, {"schema", "mapping_id", "domain", "process", "process_id", "node",
                                         "tls", "port", "from_file", "created_by"});
    return domain;
}

Json to_json(const ChallengeRecord& challenge) {
    return {{"schema", schema},
            {"domain", challenge.domain},
            {"value", challenge.value},
            {"node", challenge.node},
            {"expires", challenge.expires}};
}

Result<ChallengeRecord> challenge_from_json(const Json& document) {
    if (auto checked = check_object(document, "challenge"); !checked) return std::unexpected(checked.error());
    return ChallengeRecord{.domain = member<std::string>(document, "domain"),
                           .value = member<std::string>(document, "value"),
                           .node = member<std::string>(document, "node"),
                           .expires = member<std::int64_t>(document, "expires")};
}

Json to_json(const CertificateStatus& certificate) {
    return {{"schema", schema},
            {"domain", certificate.domain},
            {"state", certificate.state},
            {"detail", certificate.detail},
            {"not_after", certificate.not_after}};
}

Result<CertificateStatus> certificate_from_json(const Json& document) {
    if (auto checked = check_object(document, "certificate"); !checked)
        return std::unexpected(checked.error());
    return CertificateStatus{.domain = member<std::string>(document, "domain"),
                             .state = member<std::string>(document, "state", "none"),
                             .detail = member<std::string>(document, "detail"),
                             .not_after = member<std::string>(document, "not_after")};
}

} // namespace p2prc
