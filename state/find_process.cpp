#include "state/find_process.h"

#include "core/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <span>

namespace p2prc::state {

Reference reference_of(std::string_view text) noexcept {
    if (!text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
        return Reference::Id;
    return text.find('.') != std::string_view::npos ? Reference::Domain : Reference::Name;
}

Error no_such_node(std::string_view name, const std::vector<std::string>& names) {
    constexpr std::size_t most = 16;
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const auto near = nearest(name, candidates);
    const auto shown = std::span(names).first(std::min(names.size(), most));
    return {ErrorCode::NotFound, fmt::format("there is no node '{}'", text::excerpt(name)),
            fmt::format("{}the nodes are: {}{}", near.empty() ? "" : fmt::format("did you mean '{}'? ", near),
                        fmt::join(shown, ", "),
                        shown.size() < names.size() ? ", ...; p2prc nodes lists them" : "")};
}

Error no_such_process(std::string_view text, const std::vector<std::string>& names) {
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const auto near = nearest(text, candidates);
    return {ErrorCode::NotFound, fmt::format("there is no process '{}'", text::excerpt(text)),
            near.empty() ? "'p2prc ps' lists all processes; give an id, a name or a domain"
                         : fmt::format("did you mean '{}'? 'p2prc ps' lists all processes", near)};
}

Error no_such_domain(std::string_view domain) {
    return {ErrorCode::NotFound, fmt::format("no process has the domain '{}'", domain),
            "'p2prc domains' lists all domains"};
}

Error waiting_domain(const DomainRecord& mapping) {
    return {ErrorCode::NotFound,
            fmt::format("the domain '{}' is mapped to process '{}', which does not exist", mapping.domain,
                        mapping.process),
            fmt::format("spin '{}', or map the domain to another process", mapping.process)};
}

} // namespace p2prc::state
