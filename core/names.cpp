#include "core/names.h"

#include "core/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

namespace p2prc {
namespace {

// Units of p2prc itself: `p2prc-edge.service` must never be a process, because a transient unit with
// DynamicUser= that is named like a service takes that service's user.
constexpr std::array<std::string_view, 4> reserved_names{"edge", "connector", "portal", "acme"};

constexpr std::size_t longest_name = 42;
constexpr std::size_t longest_domain = 253; // RFC 1035 section 2.3.4, without the length octets
constexpr std::size_t longest_word = 64;    // that is compared with others

bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

Result<void> check_form(std::string_view name, std::string_view what) {
    const auto quoted = std::string(what) + " '" + text::excerpt(name) + "'";
    const std::string rule =
        "a " + std::string(what) +
        " starts with a letter a-z, has letters, digits and hyphens, ends with a letter or "
        "digit, and is at most 42 characters long";
    if (name.empty()) return fail(ErrorCode::InvalidSpec, "the " + std::string(what) + " is empty", rule);
    if (name.size() > longest_name)
        return fail(ErrorCode::InvalidSpec, quoted + " is longer than 42 characters", rule);
    if (!is_lower(name.front()))
        return fail(ErrorCode::InvalidSpec, quoted + " does not start with a letter a-z", rule);
    for (const char c : name)
        if (!is_lower(c) && !is_digit(c) && c != '-')
            return fail(ErrorCode::InvalidSpec, quoted + " contains a character that is not a-z, 0-9 or '-'",
                        rule);
    if (name.back() == '-') return fail(ErrorCode::InvalidSpec, quoted + " ends with a hyphen", rule);
    return {};
}

bool looks_like_ipv4(std::string_view domain) {
    return std::ranges::all_of(domain, [](char c) { return is_digit(c) || c == '.'; });
}

// Insertions, deletions, substitutions and swapped neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
    const auto width = b.size() + 1;
    std::vector<std::size_t> cost((a.size() + 1) * width);
    auto at = [&](std::size_t i, std::size_t j) -> std::size_t& { return cost[i * width + j]; };
    for (std::size_t i = 0; i <= a.size(); ++i) {
        for (std::size_t j = 0; j <= b.size(); ++j) {
            if (i == 0 || j == 0) {
                at(i, j) = i + j;
                continue;
            }
            const std::size_t differ = a[i - 1] == b[j - 1] ? 0 : 1;
            at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + differ});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
        }
    }
    return at(a.size(), b.size());
}

// "home1" for "home2": with other digits it is another one of a row, and no typing error.
bool differ_in_digits(std::string_view a, std::string_view b) {
    std::string letters_of_a, letters_of_b;
    std::ranges::copy_if(a, std::back_inserter(letters_of_a), [](char c) { return !is_digit(c); });
    std::ranges::copy_if(b, std::back_inserter(letters_of_b), [](char c) { return !is_digit(c); });
    return letters_of_a.size() < a.size() && letters_of_b.size() < b.size() && letters_of_a == letters_of_b;
}

// How far they are apart; nothing: too far for a typing error, which has at most a third of the letters, and
// three of them, wrong.
std::optional<std::size_t> typing_errors(std::string_view a, std::string_view b) {
    const auto shorter = std::min(a.size(), b.size());
    const auto most = shorter < 2 ? 0 : std::clamp<std::size_t>(shorter / 3, 1, 3);
    if (std::max(a.size(), b.size()) > longest_word || std::max(a.size(), b.size()) - shorter > most)
        return std::nullopt;
    const auto distance = edit_distance(a, b);
    return distance <= most && !differ_in_digits(a, b) ? std::optional(distance) : std::nullopt;
}

template <class Errors>
std::string_view least(std::span<const std::string_view> candidates, Errors errors) {
    std::string_view best;
    std::optional<std::size_t> fewest;
    for (const auto candidate : candidates)
        if (const auto found = errors(candidate); found && (!fewest || *found < *fewest)) {
            fewest = found;
            best = candidate;
        }
    return best;
}

// Takes the labels at the end away that both have.
void strip_common_labels(std::string_view& a, std::string_view& b) {
    const auto last = [](std::string_view name) { return name.substr(name.find_last_of('.') + 1); };
    const auto strip = [](std::string_view& name, std::size_t size) {
        name.remove_suffix(std::min(name.size(), size + 1));
    };
    while (!a.empty() && !b.empty() && last(a) == last(b)) {
        const auto size = last(a).size();
        strip(a, size);
        strip(b, size);
    }
}

} // namespace

Result<void> check_process_name(std::string_view name) {
    if (auto form = check_form(name, "process name"); !form) return form;
    if (std::ranges::find(reserved_names, name) != reserved_names.end())
        return fail(ErrorCode::InvalidSpec,
                    "process name '" + std::string(name) + "' is a part of p2prc itself",
                    "choose another name; edge, connector, portal and acme are taken");
    return {};
}

Result<void> check_node_name(std::string_view name) {
    return check_form(name, "node name");
}

Result<std::string> normalize_domain(std::string_view domain) {
    const auto given = text::excerpt(domain, 300);
    constexpr const char* form =
        "a domain is two or more labels of letters, digits and hyphens, such as calendar.home.example";
    auto refuse = [&](std::string_view why) {
        return fail(ErrorCode::InvalidSpec, "domain '" + given + "' " + std::string(why), form);
    };
    if (domain.ends_with('.')) domain.remove_suffix(1);
    if (domain.empty()) return fail(ErrorCode::InvalidSpec, "the domain is empty", form);
    if (domain.size() > longest_domain) return refuse("is longer than 253 characters");
    std::string normal;
    normal.reserve(domain.size());
    std::size_t labels = 0, start = 0;
    while (start <= domain.size()) {
        const auto dot = std::min(domain.find('.', start), domain.size());
        const auto label = domain.substr(start, dot - start);
        if (label.empty()) return refuse("has an empty label");
        if (label.size() > 63) return refuse("has a label of more than 63 characters");
        if (label == "*") {
            if (start != 0) return refuse("has a '*' that is not its first label");
        } else {
            for (std::size_t i = 0; i < label.size(); ++i) {
                const char c =
                    label[i] >= 'A' && label[i] <= 'Z' ? static_cast<char>(label[i] + 32) : label[i];
                const bool inside = i != 0 && i + 1 != label.size();
                if (!is_lower(c) && !is_digit(c) && !(c == '-' && inside) && !(c == '_' && i == 0))
                    return refuse("has a character that does not belong there");
            }
        }
        if (!normal.empty()) normal.push_back('.');
        for (const char c : label)
            normal.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c);
        ++labels;
        start = dot + 1;
    }
    if (looks_like_ipv4(normal)) return refuse("is an IP address");
    if (labels < 2) return refuse("has only one label");
    return normal;
}

bool in_zone(std::string_view domain, std::string_view zone) noexcept {
    if (zone.empty() || !domain.ends_with(zone)) return false;
    return domain.size() == zone.size() || domain[domain.size() - zone.size() - 1] == '.';
}

Result<std::string> challenge_name(std::string_view domain) {
    auto normal = normalize_domain(domain);
    if (!normal) return normal;
    const auto parent = normal->starts_with("*.") ? std::string_view(*normal).substr(2) : *normal;
    auto name = "_acme-challenge." + std::string(parent);
    if (name.size() > longest_domain)
        return fail(ErrorCode::InvalidSpec,
                    "domain '" + text::excerpt(domain, 300) +
                        "' is too long for a certificate: the name that proves it, _acme-challenge. and the "
                        "domain, would have more than 253 characters",
                    "choose a domain of at most 237 characters");
    return name;
}

bool is_challenge_value(std::string_view value) noexcept {
    return value.size() == 43 && std::ranges::all_of(value, [](char c) {
               return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
           });
}

bool is_fingerprint(std::string_view key) noexcept {
    return key.size() == 64 &&
           std::ranges::all_of(key, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); });
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    return least(candidates, [&](std::string_view candidate) { return typing_errors(word, candidate); });
}

std::string_view nearest_domain(std::string_view domain, std::span<const std::string_view> candidates) {
    return least(candidates, [&](std::string_view candidate) {
        auto given = domain;
        strip_common_labels(given, candidate);
        return typing_errors(given, candidate);
    });
}

std::string_view node_of(std::string_view by) noexcept {
    return by.substr(by.rfind('@') + 1);
}

} // namespace p2prc
