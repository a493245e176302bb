// Who holds which domain.
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "registry/maker.h"
#include "registry/quota.h"
#include "registry/rules.h"
#include "state/find_process.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace p2prc::registry::rules {
namespace {

// The port that was asked for when the domain was mapped; a process with another one is not attached.
constexpr const char* requested_port = "requested_port";

std::string first_label(std::string_view domain) {
    return std::string(domain.substr(0, domain.find('.')));
}

// The name that `text` (id, name or domain of a process; empty: the first label) stands for. A name need not
// exist.
Result<std::string> process_name(const Draft& draft, const std::string& text, const std::string& domain) {
    if (text.empty()) {
        auto label = first_label(domain);
        if (auto named = check_process_name(label); !named)
            return fail(ErrorCode::InvalidSpec, fmt::format("no process is named for domain '{}'", domain),
                        fmt::format("say which: p2prc map-domain {} PROCESS", domain));
        return label;
    }
    if (text.find('.') != std::string::npos || (text[0] >= '0' && text[0] <= '9')) {
        auto process = state::find_process(draft, text);
        if (!process) return std::unexpected(process.error());
        return process->name;
    }
    if (auto named = check_process_name(text); !named) return std::unexpected(named.error());
    return text;
}

Result<std::optional<std::uint16_t>> port_param(const Request& request) {
    const auto it = request.params.find("port");
    if (it == request.params.end() || it->is_null()) return std::optional<std::uint16_t>();
    const auto port = json::optional_member<std::uint16_t>(request.params, "port");
    if (!port || *port == 0) return fail(ErrorCode::InvalidSpec, "'port' is not a number from 1 to 65535");
    return port;
}

Result<TlsMode> tls_param(const Request& request) {
    auto text = optional_text(request, "tls");
    if (!text) return std::unexpected(text.error());
    if (text->empty() || *text == "node") return TlsMode::Node;
    if (*text == "passthrough") return TlsMode::Passthrough;
    if (*text == "none")
        return fail(ErrorCode::NotSupported, "tls = \"none\" is not in this version",
                    "use node or passthrough");
    return fail(ErrorCode::InvalidSpec, fmt::format("tls is '{}'", text::excerpt(*text, 40)),
                "it is node or passthrough");
}

Result<void> check_port(const ProcessRecord& process, std::optional<std::uint16_t> port,
                        const std::string& domain) {
    if (!process.port)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("process '{}' declares no port, so domain '{}' cannot point to it",
                                process.name, domain),
                    "spin it with a port (port = 0 has one chosen)");
    if (port && *port != *process.port)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("process '{}' declares port {}, not {}", process.name, *process.port, *port),
                    "omit --port to use the one that it declares");
    return {};
}

// Points the mapping at the process; one that the process cannot serve keeps waiting.
void attach(DomainRecord& mapping, const ProcessRecord& process) {
    const auto wanted = json::optional_member<std::uint16_t>(mapping.unknown, requested_port);
    const bool fits = process.port && (!wanted || *wanted == *process.port);
    mapping.process_id = fits ? process.id : 0;
    mapping.node = fits ? process.node : "";
    mapping.port = fits ? *process.port : 0;
    if (fits) clear_last_node(mapping);
}

bool made_by_an_owner(const Draft& draft, std::string_view created_by, const Json& more) {
    const auto maker = draft.node(node_of(created_by));
    return maker && maker->role == Role::Owner && is_maker(draft, maker->name, created_by, more);
}

bool same_maker(const Draft& draft, const DomainRecord& mapping, const ProcessRecord& process) {
    const auto maker = node_of(process.created_by);
    return is_maker(draft, maker, process.created_by, process.unknown) &&
           is_maker(draft, maker, mapping.created_by, mapping.unknown);
}

// Whether the process may have the visitors of the mapping, which waits for its name. Anybody may take a name
// that is free: one that another node's process had before, or one that nobody has had yet.
bool may_serve(const Draft& draft, const DomainRecord& mapping, const ProcessRecord& process, bool owner) {
    return owner || led_to(draft, mapping, process.node) || same_maker(draft, mapping, process);
}

// Whether the mapping's maker may make the process public. Anybody may map a domain to a name that is free,
// and a member may map none to another's process.
bool may_publish(const Draft& draft, const DomainRecord& mapping, const ProcessRecord& process) {
    return process.spec.domain == mapping.domain || same_maker(draft, mapping, process) ||
           is_maker(draft, process.node, mapping.created_by, mapping.unknown) ||
           made_by_an_owner(draft, mapping.created_by, mapping.unknown) ||
           led_to(draft, mapping, process.node);
}

// Names directly below the zone that programs look for by themselves, or that stand for the whole zone:
// proxies (WPAD), tunnels (RFC 5214), settings of mail programs, and mail.
constexpr std::array<std::string_view, 14> looked_for{
    "admin", "autoconfig", "autodiscover", "hostmaster", "imap", "isatap",    "localhost",
    "mail",  "mta-sts",    "pop",          "postmaster", "smtp", "webmaster", "wpad"};

bool is_owners(std::string_view domain, std::string_view zone) {
    const auto label = domain.substr(0, domain.find('.'));
    bool underscore = false;
    for (std::size_t at = 0; at < domain.size();
         at = domain.find('.', at) == std::string_view::npos ? domain.size() : domain.find('.', at) + 1)
        underscore = underscore || domain[at] == '_';
    const bool below_zone = domain.size() == label.size() + 1 + zone.size();
    return domain == zone || underscore || label == "*" || label.starts_with("ns") ||
           (below_zone && std::ranges::find(looked_for, label) != looked_for.end());
}

// A mapping between `domain` and the zone that is neither the node's nor made there.
std::optional<DomainRecord> name_above(const Draft& draft, std::string_view domain, std::string_view zone,
                                       std::string_view node) {
    for (auto dot = domain.find('.'); domain.size() - dot - 1 > zone.size();
         dot = domain.find('.', dot + 1)) {
        auto above = draft.domain(domain.substr(dot + 1));
        if (above && above->node != node && !is_maker(draft, node, above->created_by, above->unknown))
            return above;
    }
    return std::nullopt;
}

// Whether the machine that made the mapping is in the fleet: nothing can be done there otherwise.
bool maker_is_here(const Draft& draft, const DomainRecord& mapping) {
    const auto node = node_of(mapping.created_by);
    return draft.node(node) && is_maker(draft, node, mapping.created_by, mapping.unknown);
}

std::string maker_text(const Draft& draft, const DomainRecord& mapping) {
    return mapping.created_by + (maker_is_here(draft, mapping) ? "" : ", which is not in the fleet");
}

std::string where_to_change(const Draft& draft, const DomainRecord& mapping) {
    return maker_is_here(draft, mapping) || !mapping.node.empty()
               ? "run the command there, or on a node with the role owner"
               : "run the command on a node with the role owner";
}

std::string holder_text(const std::optional<DomainRecord>& holder) {
    if (!holder) return "a record that this version cannot read";
    if (holder->node.empty()) return fmt::format("process '{}', which does not run now", holder->process);
    return fmt::format("process '{}' on node '{}'", holder->process, holder->node);
}

} // namespace

Result<void> check_domain_rights(const Draft& draft, std::string_view domain, std::string_view node,
                                 bool owner) {
    if (owner) return {};
    const auto fleet = draft.fleet();
    const std::string zone = fleet ? fleet->zone : "";
    if (!in_zone(domain, zone))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("domain '{}' does not lie in the fleet's zone '{}'", domain, zone),
                    "only a node with the role owner maps other domains; choose a name below the zone");
    if (is_owners(domain, zone))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("domain '{}' can be mapped only by an owner of the fleet", domain),
                    "the same holds for the zone itself, ns*, _*, wildcards and names that programs look up "
                    "on their own "
                    "(mail, wpad); choose another name, or map it on a node with the role owner");
    if (const auto above = name_above(draft, domain, zone, node))
        return fail(
            ErrorCode::NotPermitted,
            fmt::format("domain '{}' lies below '{}', which is held by {}", domain, above->domain,
                        holder_text(above)),
            "browsers send the cookies of the upper name to the lower one: ask an owner to map it, or "
            "choose another name");
    return {};
}

Result<void> check_certifiable(const Draft& draft, std::string_view domain, const std::string& otherwise) {
    if (auto name = challenge_name(domain); !name) return std::unexpected(name.error());
    const auto fleet = draft.fleet();
    if (!fleet || fleet->zone.empty() || in_zone(domain, fleet->zone)) return {};
    return fail(
        ErrorCode::InvalidSpec,
        fmt::format("domain '{}' lies outside the fleet's zone '{}', so this fleet cannot prove it to a "
                    "certificate authority, and TLS would never work",
                    domain, fleet->zone),
        otherwise);
}

Result<void> check_domain_free(const Draft& draft, std::string_view domain, std::string_view process) {
    if (!draft.get(keys::domain(domain))) return {};
    const auto holder = draft.domain(domain);
    if (holder && holder->process == process) return {};
    return fail(ErrorCode::DomainTaken, fmt::format("domain '{}' is held by {}", domain, holder_text(holder)),
                fmt::format("choose another name, or release that one first: p2prc unmap-domain {}", domain));
}

Result<void> check_domain_serving(const Draft& draft, const std::string& domain, const ProcessRecord& process,
                                  bool owner) {
    if (auto free = check_domain_free(draft, domain, process.name); !free) return free;
    const auto waiting = draft.domain(domain);
    if (!waiting || may_serve(draft, *waiting, process, owner)) return {};
    const auto before = last_node(*waiting);
    return fail(ErrorCode::DomainTaken,
                fmt::format("domain '{}' was mapped by {}{}", domain, maker_text(draft, *waiting),
                            before.empty() ? "" : " and led to node '" + before + "' before"),
                fmt::format("ask its owner to release it: p2prc unmap-domain {}", domain));
}

Result<DomainRecord> claim_domain(Draft& draft, const std::string& domain, const std::string& process,
                                  bool from_file, const std::string& by) {
    if (const auto mapping = draft.domain(domain)) return *mapping;
    const auto id = draft.next_mapping_id();
    if (!id) return std::unexpected(id.error());
    DomainRecord mapping;
    mapping.mapping_id = *id;
    mapping.domain = domain;
    mapping.process = process;
    mapping.from_file = from_file;
    mapping.created_by = by;
    draft.put(mapping);
    return mapping;
}

void take_over(DomainRecord& mapping, const DomainRecord& brought) {
    mapping.tls = brought.tls;
    if (const auto port = json::optional_member<std::uint16_t>(brought.unknown, requested_port))
        mapping.unknown[requested_port] = *port;
}

void attach_domains(Draft& draft, const ProcessRecord& process, bool owner) {
    for (auto& mapping : draft.domains_of(process.name)) {
        if (!may_serve(draft, mapping, process, owner) || !may_publish(draft, mapping, process)) continue;
        attach(mapping, process);
        draft.put(mapping);
    }
}

void move_domains(Draft& draft, const ProcessRecord& process) {
    for (auto& mapping : draft.domains_of(process.name)) {
        if (mapping.process_id != process.id) continue;
        erase_challenges(draft, mapping.domain);
        attach(mapping, process);
        draft.put(mapping);
    }
}

void erase_challenges(Draft& draft, std::string_view domain) {
    for (const auto& [key, document] : draft.range(keys::challenges_of(domain)))
        draft.erase(key);
}

void release_file_domain(Draft& draft, const ProcessRecord& process) {
    const auto* fallback = fallback_revision(process);
    for (const auto& mapping : draft.domains_of(process.name)) {
        if (!mapping.from_file || mapping.domain == process.spec.domain) continue;
        if (fallback && mapping.domain == fallback->spec.domain) continue;
        erase_challenges(draft, mapping.domain);
        draft.erase(keys::domain(mapping.domain));
    }
}

std::vector<std::string> release_domains(Draft& draft, std::string_view process) {
    std::vector<std::string> kept;
    for (auto& mapping : draft.domains_of(process)) {
        erase_challenges(draft, mapping.domain);
        if (mapping.from_file) {
            draft.erase(keys::domain(mapping.domain));
            continue;
        }
        if (!mapping.node.empty()) set_last_node(mapping, mapping.node);
        mapping.process_id = 0;
        mapping.node.clear();
        mapping.port = 0;
        draft.put(mapping);
        kept.push_back(mapping.domain);
    }
    return kept;
}

Result<Json> map_domain(Request& request) {
    auto given = text_param(request, "domain");
    if (!given) return std::unexpected(given.error());
    auto domain = normalize_domain(*given);
    if (!domain) return std::unexpected(domain.error());
    auto named = optional_text(request, "process");
    if (!named) return std::unexpected(named.error());
    auto tls = tls_param(request);
    if (!tls) return std::unexpected(tls.error());
    auto port = port_param(request);
    if (!port) return std::unexpected(port.error());
    if (auto allowed = check_domain_rights(request.draft, *domain, request.actor.node, request.is_owner());
        !allowed)
        return std::unexpected(allowed.error());
    if (*tls == TlsMode::Node)
        if (auto good = check_certifiable(
                request.draft, *domain,
                "map it with --tls passthrough to a process that has a certificate for it, or choose a name "
                "below the zone");
            !good)
            return std::unexpected(good.error());
    auto name = process_name(request.draft, *named, *domain);
    if (!name) return std::unexpected(name.error());
    if (auto free = check_domain_free(request.draft, *domain, *name); !free)
        return std::unexpected(free.error());
    const auto process = request.draft.process(*name);
    if (process) {
        if (!request.may_change(*process))
            return fail(ErrorCode::NotPermitted,
                        fmt::format("process '{}' runs on node '{}'; a member maps domains only to its own",
                                    *name, process->node),
                        "run the command there, or on a node with the role owner");
        if (auto fits = check_port(*process, *port, *domain); !fits) return std::unexpected(fits.error());
    }
    const auto before = request.draft.domain(*domain);
    if (before && !request.may_change(*before))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("domain '{}' was mapped by {}", *domain, maker_text(request.draft, *before)),
                    where_to_change(request.draft, *before));

    if (!before)
        if (auto room = check_room_for_domain(request.draft, request.actor.node, request.is_owner()); !room)
            return std::unexpected(room.error());
    auto mapping = claim_domain(request.draft, *domain, *name, false, request.by());
    if (!mapping) return std::unexpected(mapping.error());
    mapping->tls = *tls;
    json::erase_member(mapping->unknown, requested_port);
    if (*port) mapping->unknown[requested_port] = **port;
    if (process) attach(*mapping, *process);
    request.draft.put(*mapping);
    return to_json(*mapping);
}

Result<Json> unmap_domain(Request& request) {
    auto given = text_param(request, "domain");
    if (!given) return std::unexpected(given.error());
    auto domain = normalize_domain(*given);
    if (!domain) return std::unexpected(domain.error());
    const auto mapping = request.draft.domain(*domain);
    if (!mapping)
        return fail(ErrorCode::NotFound, fmt::format("domain '{}' is not mapped", *domain),
                    "p2prc domains lists them");
    if (!request.may_change(*mapping))
        return fail(ErrorCode::NotPermitted,
                    fmt::format("domain '{}' is mapped to process '{}'{}, and was mapped by {}", *domain,
                                mapping->process,
                                mapping->node.empty() ? "" : fmt::format(" on node '{}'", mapping->node),
                                maker_text(request.draft, *mapping)),
                    where_to_change(request.draft, *mapping));
    erase_challenges(request.draft, *domain);
    request.draft.erase(keys::domain(*domain));
    return Json{{"domain", *domain}};
}

} // namespace p2prc::registry::rules
