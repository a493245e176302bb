// Inviting, and forgetting what has run out.
#include "core/json_members.h"
#include "core/names.h"
#include "core/text.h"
#include "registry/invitations.h"
#include "registry/maker.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry {
namespace {

constexpr std::int64_t default_expiry = 3600;
constexpr std::int64_t longest_expiry = 30 * 24 * 3600;
constexpr std::size_t most_open = 1000;
constexpr std::size_t most_open_of_node = 200;

Invitation from_json(std::string_view id, const Json& document) {
    return {.id = std::string(id),
            .secret = json::member<std::string>(document, "secret"),
            .role = role_from_name(json::member<std::string>(document, "role")).value_or(Role::Member),
            .expires = json::member<std::int64_t>(document, "expires"),
            .created_by = json::member<std::string>(document, "created_by"),
            .key = json::member<std::string>(document, "key"),
            .node = json::member<std::string>(document, "node")};
}

std::size_t drop_expired_invitations(Request& request) {
    std::size_t dropped = 0;
    for (const auto& invitation : all_invitations(request.draft)) {
        if (invitation.expires > request.now) continue;
        erase_invitation(request.draft, invitation.id);
        ++dropped;
    }
    return dropped;
}

} // namespace

std::optional<Invitation> find_invitation(const Draft& draft, std::string_view id) {
    const auto* document = draft.get_secret(keys::invitation(id));
    if (!document) return std::nullopt;
    return from_json(id, *document);
}

std::vector<Invitation> all_invitations(const Draft& draft) {
    std::vector<Invitation> all;
    for (const auto& [key, document] : draft.range_secret(keys::invitations))
        all.push_back(from_json(keys::last_part(key), *document));
    return all;
}

void put_invitation(Draft& draft, const Invitation& invitation) {
    draft.put_secret(keys::invitation(invitation.id), {{"schema", 1},
                                                       {"secret", invitation.secret},
                                                       {"role", role_name(invitation.role)},
                                                       {"expires", invitation.expires},
                                                       {"created_by", invitation.created_by},
                                                       {"key", invitation.key},
                                                       {"node", invitation.node}});
}

void erase_invitation(Draft& draft, std::string_view id) {
    draft.erase_secret(keys::invitation(id));
}

namespace rules {

Result<Json> invite(Request& request) {
    auto role_text = optional_text(request, "role");
    if (!role_text) return std::unexpected(role_text.error());
    if (*role_text == "guest")
        return fail(ErrorCode::NotSupported, "the role guest is not in this version", "invite a member");
    const auto role = role_text->empty() ? Role::Member : role_from_name(*role_text);
    if (!role)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("there is no role '{}'", text::excerpt(*role_text, 40)),
                    "it is member or owner");
    const auto seconds = json::member<std::int64_t>(request.params, "expires_seconds", default_expiry);
    if (seconds < 1 || seconds > longest_expiry)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("an invitation cannot be valid for {} seconds", seconds),
                    "give a time from 1 second to 30 days");
    const auto fleet = request.draft.fleet();
    if (!fleet || fleet->root.empty())
        return fail(
            ErrorCode::Conflict, "this fleet has no root node that others could reach",
            "make one first: p2prc init --domain ZONE --public-ip IP, on a machine with a public address");
    drop_expired_invitations(request);
    const auto open = all_invitations(request.draft);
    const auto made_here = std::ranges::count_if(open, [&](const Invitation& invitation) {
        return node_of(invitation.created_by) == request.actor.node;
    });
    if (open.size() >= most_open || static_cast<std::size_t>(made_here) >= most_open_of_node)
        return fail(ErrorCode::Conflict,
                    fmt::format("{} invitations of node '{}' are open, and {} in all; there may be {} and {}",
                                made_here, request.actor.node, open.size(), most_open_of_node, most_open),
                    "wait until some expire");
    auto id = random_hex(16);
    if (!id) return std::unexpected(id.error());
    auto secret = random_hex(32);
    if (!secret) return std::unexpected(secret.error());
    Invitation invitation{*id, *secret, *role, request.now + seconds, request.by(), "", ""};
    put_invitation(request.draft, invitation);
    return Json{{"id", invitation.id}, {"secret", invitation.secret}, {"expires", invitation.expires}};
}

Result<Json> sweep(Request& request) {
    auto removed = drop_expired_invitations(request);
    for (const auto& [key, document] : request.draft.range(keys::challenges)) {
        if (json::member<std::int64_t>(*document, "expires") > request.now) continue;
        request.draft.erase(key);
        ++removed;
    }
    return Json{{"removed", removed}};
}

} // namespace rules
} // namespace p2prc::registry
