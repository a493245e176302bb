#include "core/keys.h"

#include "core/encoding.h"
#include "core/gate.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace p2prc::keys {
namespace {

using enum Kind;
using enum Part;

constexpr unsigned all_objects = process_objects | node_objects | domain_objects;

// docs/architecture.md, "State", has the same rows for people.
constexpr Family table[] = {
    {.prefix = fleet,
     .kind = Agreed,
     .durable = true,
     .announces = node_objects | domain_objects,
     .gate = check_document<accept_fleet>},
    {.prefix = nodes,
     .kind = Agreed,
     .parts = {Node},
     .node = node_in_key,
     .dropped_with_node = true,
     .durable = true,
     .announces = node_objects | domain_objects,
     .gate = check_document<accept_node>},
    {.prefix = processes,
     .kind = Agreed,
     .parts = {Process},
     .node = node_in_value,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .durable = true,
     .announces = process_objects | domain_objects,
     .share = Share::Processes,
     .gate = check_document<accept_process>},
    {.prefix = tombstones,
     .kind = Agreed,
     .parts = {Id},
     .node = node_in_value,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .durable = true,
     .share = Share::Processes,
     .gate = check_document<accept_tombstone>},
    // A mapping outlives its process and the node that ran it: it waits.
    {.prefix = domains,
     .kind = Agreed,
     .parts = {Domain},
     .node = node_in_value,
     .renamed_with_node = true,
     .durable = true,
     .announces = process_objects | domain_objects,
     .share = Share::Domains,
     .gate = check_document<accept_domain>},
    {.prefix = challenges,
     .kind = Agreed,
     .parts = {Domain, Digest},
     .node = node_in_value,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .gate = check_document<accept_challenge>},
    {.prefix = liveness,
     .kind = Registry,
     .parts = {Node},
     .node = node_in_key,
     .dropped_with_node = true,
     .announces = all_objects},
    {.prefix = statuses,
     .kind = Owned,
     .parts = {Node, Id},
     .node = node_in_key | node_in_value,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .announces = process_objects | domain_objects,
     .share = Share::Owned},
    {.prefix = stop_lists,
     .kind = Owned,
     .parts = {Node, Id},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .share = Share::Owned},
    {.prefix = infos,
     .kind = Owned,
     .parts = {Node},
     .node = node_in_key,
     .dropped_with_node = true,
     .announces = process_objects | node_objects,
     .share = Share::Owned},
    {.prefix = certificates,
     .kind = Owned,
     .parts = {Node, Domain},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .announces = domain_objects,
     .share = Share::Owned},
    {.prefix = servings,
     .kind = Owned,
     .parts = {Node, Domain},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .announces = domain_objects,
     .share = Share::Owned},
    {.prefix = tunnels,
     .kind = Owned,
     .parts = {Node},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .announces = domain_objects,
     .share = Share::Owned},
    {.prefix = edges,
     .kind = Owned,
     .parts = {Node},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .announces = domain_objects,
     .share = Share::Owned},
    {.prefix = local_actions,
     .kind = Folded,
     .parts = {Node, Id},
     .node = node_in_key,
     .dropped_with_node = true,
     .announces = process_objects | domain_objects},
    {.prefix = spun_here, .kind = Local, .parts = {Digest}},
    {.prefix = killed_here, .kind = Local, .parts = {Id}},
    {.prefix = paused_here, .kind = Local, .parts = {Process}},
    {.prefix = paused_owners, .kind = Local, .parts = {Owner}},
    {.prefix = owner_limits, .kind = Local, .parts = {Owner}},
    {.prefix = offers,
     .kind = Owned,
     .parts = {Node, Id},
     .node = node_in_key,
     .dropped_with_node = true,
     .renamed_with_node = true,
     .share = Share::Offers,
     .gate = check_document<accept_offer>},
    {.prefix = invitations, .kind = Private, .parts = {Digest}},
    {.prefix = counters, .kind = Private, .parts = {Digest}},
};

std::vector<const Family*>& rows() {
    static std::vector<const Family*> all = [] {
        std::vector<const Family*> list;
        for (const Family& family : table)
            list.push_back(&family);
        return list;
    }();
    return all;
}

bool has(const Family& family, std::string_view key) noexcept {
    return family.part_count() == 0 ? key == family.prefix : key.starts_with(family.prefix);
}

} // namespace

std::span<const Family* const> families() noexcept {
    return rows();
}

const Family* family_of(std::string_view key) noexcept {
    for (const Family* family : rows())
        if (has(*family, key)) return family;
    return nullptr;
}

std::string_view Key::part(Part kind) const noexcept {
    for (std::size_t i = 0; i < family->part_count(); ++i)
        if (family->parts[i] == kind) return parts[i];
    return {};
}

std::uint32_t Key::id() const noexcept {
    return id_from_text(part(Part::Id)).value_or(0);
}

std::string_view Key::subject() const noexcept {
    return family->part_count() == 0 ? std::string_view() : parts[family->part_count() - 1];
}

std::optional<Key> parse(std::string_view key) noexcept {
    Key result{family_of(key), {}};
    if (!result.family) return std::nullopt;
    auto rest = key.substr(result.family->prefix.size());
    const auto count = result.family->part_count();
    for (std::size_t i = 0; i < count; ++i) {
        const bool last = i + 1 == count;
        const auto end = last ? rest.size() : rest.find('/');
        if (end == std::string_view::npos || end == 0) return std::nullopt;
        result.parts[i] = rest.substr(0, end);
        if (result.parts[i].find('/') != std::string_view::npos) return std::nullopt;
        if (result.family->parts[i] == Part::Id && !id_from_text(result.parts[i])) return std::nullopt;
        rest.remove_prefix(last ? end : end + 1);
    }
    return result;
}

std::string_view last_part(std::string_view key) noexcept {
    const auto slash = key.rfind('/');
    return slash == std::string_view::npos ? key : key.substr(slash + 1);
}

std::optional<std::uint32_t> id_from_text(std::string_view text) noexcept {
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    const bool zeros = text.size() > 1 && text.front() == '0';
    if (error != std::errc() || end != text.data() + text.size() || zeros) return std::nullopt;
    return id;
}

std::string of_node(const Family& family, std::string_view node) {
    return fmt::format("{}{}{}", family.prefix, node, family.part_count() > 1 ? "/" : "");
}

std::string node(std::string_view name) {
    return fmt::format("{}{}", nodes, name);
}
std::string process(std::string_view name) {
    return fmt::format("{}{}", processes, name);
}
std::string tombstone(std::uint32_t id) {
    return fmt::format("{}{}", tombstones, id);
}
std::string domain(std::string_view fqdn) {
    return fmt::format("{}{}", domains, fqdn);
}
std::string challenge(std::string_view fqdn, std::string_view value) {
    return fmt::format("{}{}/{}", challenges, fqdn, to_hex(sha256(as_bytes(value))).substr(0, 16));
}
std::string challenges_of(std::string_view fqdn) {
    return fmt::format("{}{}/", challenges, fqdn);
}
std::string live(std::string_view node) {
    return fmt::format("{}{}", liveness, node);
}
std::string status(std::string_view node, std::uint32_t id) {
    return fmt::format("{}{}/{}", statuses, node, id);
}
std::string status_prefix(std::string_view node) {
    return fmt::format("{}{}/", statuses, node);
}
std::string stops(std::string_view node, std::uint32_t id) {
    return fmt::format("{}{}/{}", stop_lists, node, id);
}
std::string stops_prefix(std::string_view node) {
    return fmt::format("{}{}/", stop_lists, node);
}
std::string node_info(std::string_view node) {
    return fmt::format("{}{}", infos, node);
}
std::string certificate(std::string_view node, std::string_view fqdn) {
    return fmt::format("{}{}/{}", certificates, node, fqdn);
}
std::string certificate_prefix(std::string_view node) {
    return certificate(node, "");
}
std::string serving(std::string_view node, std::string_view fqdn) {
    return fmt::format("{}{}/{}", servings, node, fqdn);
}
std::string tunnel(std::string_view node) {
    return fmt::format("{}{}", tunnels, node);
}
std::string edge(std::string_view node) {
    return fmt::format("{}{}", edges, node);
}
std::string local_action(std::string_view node, std::uint32_t id) {
    return fmt::format("{}{}/{}", local_actions, node, id);
}
std::string local_prefix(std::string_view node) {
    return fmt::format("{}{}/", local_actions, node);
}
std::string spun(std::string_view digest) {
    return fmt::format("{}{}", spun_here, digest);
}
std::string killed(std::uint32_t id) {
    return fmt::format("{}{}", killed_here, id);
}
std::string paused(std::string_view process) {
    return fmt::format("{}{}", paused_here, process);
}
std::string paused_owner(std::string_view node) {
    return fmt::format("{}{}", paused_owners, node);
}
std::string owner_limit(std::string_view node) {
    return fmt::format("{}{}", owner_limits, node);
}
std::string offer(std::string_view node, std::uint32_t id) {
    return fmt::format("{}{}/{}", offers, node, id);
}
std::string offer_prefix(std::string_view node) {
    return fmt::format("{}{}/", offers, node);
}
std::string invitation(std::string_view id) {
    return fmt::format("{}{}", invitations, id);
}
std::string counter(std::string_view name) {
    return fmt::format("{}{}", counters, name);
}

ExtraFamily::ExtraFamily(Family family) : family_(family) {
    rows().push_back(&family_);
}

ExtraFamily::~ExtraFamily() {
    std::erase(rows(), &family_);
}

} // namespace p2prc::keys
