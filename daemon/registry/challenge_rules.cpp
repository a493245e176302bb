// What only the node that serves a domain may do for it: prove it to a certificate authority, have it signed.
#include "core/json_members.h"
#include "core/names.h"
#include "daemon/registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon::rules {
namespace {

// Longer than any authority takes to look.
constexpr std::int64_t challenge_seconds = 3600;
constexpr std::size_t most_challenges = 16;

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

// RFC 8555 section 8.4: the base64url digest of a key authorisation. No more than that goes into the zone.
Result<std::string> challenge_value(const Request& request) {
    auto value = text_param(request, "value");
    if (!value) return value;
    const bool good = value->size() <= 255 && std::ranges::all_of(*value, [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                 c == '-' || c == '_' || c == '=';
                      });
    if (!good) return fail(ErrorCode::InvalidSpec, "the challenge's value is not base64url text");
    return value;
}

} // namespace

Result<Json> publish_challenge(Request& request) {
    auto mapping = held_domain(request);
    if (!mapping) return std::unexpected(mapping.error());
    auto value = challenge_value(request);
    if (!value) return std::unexpected(value.error());
    const auto present = request.draft.range(fmt::format("/challenges/{}/", mapping->domain));
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

} // namespace p2prc::daemon::rules
