#include "daemon/registry/owned_keys.h"

#include "core/gate.h"
#include "core/names.h"
#include "core/text.h"

#include <fmt/format.h>

#include <charconv>

namespace p2prc::daemon::rules {

OwnedKeys::OwnedKeys(const std::string& node)
    : status_(keys::status_prefix(node))
    , certificates_(keys::certificate(node, ""))
    , serving_(fmt::format("/serving/{}/", node))
    , offers_(keys::offer_prefix(node))
    , local_(fmt::format("/local/{}/", node))
    , info_(keys::node_info(node))
    , tunnel_(keys::tunnel(node))
    , edge_("/edge/" + node) {}

bool OwnedKeys::stored(std::string_view key) const {
    return key == info_ || key == tunnel_ || key == edge_ || key.starts_with(status_) ||
           key.starts_with(certificates_) || key.starts_with(serving_) || key.starts_with(offers_);
}

Result<void> OwnedKeys::check_form(std::string_view key) const {
    if (is_status(key) || is_offer(key) || folded(key)) {
        const auto& prefix = is_status(key) ? status_ : is_offer(key) ? offers_ : local_;
        const auto id = id_at_end(key);
        if (id && key == fmt::format("{}{}", prefix, *id)) return {};
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("key '{}' does not end with the id of a process", text::excerpt(key)));
    }
    for (const auto& prefix : {certificates_, serving_}) {
        if (!key.starts_with(prefix)) continue;
        const auto domain = key.substr(prefix.size());
        const auto normal = normalize_domain(domain);
        if (normal && *normal == domain) continue;
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("key '{}' does not end with a domain", text::excerpt(key)));
    }
    return {};
}

std::vector<std::string> OwnedKeys::present(const Draft& draft) const {
    std::vector<std::string> found;
    for (const auto& prefix : prefixes())
        for (const auto& [key, document] : draft.range(prefix))
            found.push_back(key);
    for (const auto& key : single())
        if (draft.get(key)) found.push_back(key);
    return found;
}

std::optional<std::uint32_t> id_at_end(std::string_view key) {
    const auto text = last_part(key);
    std::uint32_t id = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
    if (error != std::errc() || end != text.data() + text.size() || std::to_string(id) != text)
        return std::nullopt;
    return id;
}

void erase_owned(Draft& draft, const std::string& node) {
    for (const auto& key : OwnedKeys(node).present(draft))
        draft.erase(key);
    draft.erase(keys::live(node));
}

} // namespace p2prc::daemon::rules
