// What only the node that serves a domain may do for it: prove it to a certificate authority, have it signed.
#include "core/json_members.h"
#include "core/names.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {
namespace {

// Longer than any authority takes to look.
constexpr std::int64_t challenge_seconds = 3600;
constexpr std::size_t most_challenges = 16;
constexpr std::size_t most_challenges_of_node = 256;

// The mapping of params.domain, which the caller must serve.
Result<DomainRecord> held_domain(const Request& request) {
    auto given = text_param(request, "domain");
    if (!given) return std::unexpected(given.error());
    auto domain = normalize_domain(*given);
    if (!domain) return std::unexpected(domain.error());
    auto mapping = request.draft.domain(*domain);
    if (!mapping)
        return fail(ErrorCode::NotFound, fmt::format("domain '{}' is not mapped", *domain),
                    fmt::format("map it first: p2prc map-domain {}", *domain));
    if (mapping->node != request.actor.node || mapping->node.empty())
        return fail(ErrorCode::NotPermitted,
                    mapping->node.empty()
                        ? fmt::format("domain '{}' waits for process '{}'", *domain, mapping->process)
                        : fmt::format("domain '{}' is served by node '{}', not by '{}'", *domain,
                                      mapping->node, request.actor.node),
                    "only the node that serves a domain may prove it");
    return *mapping;
}

// No more than that goes into the zone.
Result<std::string> challenge_value(const Request& request) {
    auto value = text_param(request, "value");
    if (value && !is_challenge_value(*value))
        return fail(
            ErrorCode::InvalidSpec,
            "the challenge's value is not the digest of a key authorisation: 43 characters of base64url");
    return value;
}

// Of all domains of a node: what it is to prove at once.
std::size_t challenges_of(const Draft& draft, const std::string& node, std::int64_t now) {
    std::size_t count = 0;
    for (const auto& [key, document] : draft.range(keys::challenges))
        if (json::member<std::string>(*document, "node") == node &&
            json::member<std::int64_t>(*document, "expires") > now)
            ++count;
    return count;
}

} // namespace

Result<Json> publish_challenge(Request& request) {
    auto mapping = held_domain(request);
    if (!mapping) return std::unexpected(mapping.error());
    auto value = challenge_value(request);
    if (!value) return std::unexpected(value.error());
    // One name that does not fit would keep the whole zone from being served.
    if (auto name = challenge_name(mapping->domain); !name) return std::unexpected(name.error());
    const auto present = request.draft.range(keys::challenges_of(mapping->domain));
    std::size_t good = 0;
    for (const auto& [key, document] : present) {
        if (json::member<std::int64_t>(*document, "expires") > request.now)
            ++good;
        else
            request.draft.erase(key);
    }
    if (good >= most_challenges)
        return fail(ErrorCode::Conflict,
                    fmt::format("domain '{}' has {} challenges already", mapping->domain, good),
                    "remove those that are answered");
    if (challenges_of(request.draft, request.actor.node, request.now) >= most_challenges_of_node)
        return fail(ErrorCode::Conflict,
                    fmt::format("node '{}' has {} challenges already, the most for a node",
                                request.actor.node, most_challenges_of_node),
                    "remove those that are answered, or wait: they run out after an hour");
    const ChallengeRecord challenge{mapping->domain, *value, request.actor.node,
                                    request.now + challenge_seconds};
    request.draft.put(keys::challenge(challenge.domain, challenge.value), to_json(challenge));
    return Json{{"domain", challenge.domain}, {"expires", challenge.expires}};
}

Result<Json> remove_challenge(Request& request) {
    auto mapping = held_domain(request);
    if (!mapping) return std::unexpected(mapping.error());
    auto value = challenge_value(request);
    if (!value) return std::unexpected(value.error());
    request.draft.erase(keys::challenge(mapping->domain, *value));
    return Json{{"domain", mapping->domain}};
}

Result<Json> sign_certificate(Request& request) {
    auto mapping = held_domain(request);
    if (!mapping) return std::unexpected(mapping.error());
    auto csr = pem_param(request, "csr");
    if (!csr) return std::unexpected(csr.error());
    if (!request.sign)
        return fail(ErrorCode::Failed, "this fleet has no web CA of its own", "see p2prc init --acme");
    auto chain = request.sign(mapping->domain, *csr);
    if (!chain) return std::unexpected(chain.error());
    return Json{{"chain", *chain}};
}

} // namespace p2prc::registry::rules
