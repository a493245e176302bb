// The forms of names: processes, nodes, domains.
#pragma once

#include "core/error.h"

#include <span>
#include <string>
#include <string_view>

namespace p2prc {

// A process name, `[a-z]([a-z0-9-]{0,40}[a-z0-9])?`, and none of the names of p2prc's own units (`edge`,
// `connector`, `portal`, `acme`). InvalidSpec says which rule is broken.
Result<void> check_process_name(std::string_view name);

// A node name: the form of a process name; it is one DNS label.
Result<void> check_node_name(std::string_view name);

// A domain as it is stored and compared: ASCII lower case, no trailing dot. At least two labels of 1-63
// letters, digits, hyphens (inside) or underscores (in front), 253 octets at most (RFC 1035 section 2.3.4);
// the first label may be `*`. IP literals, control bytes and empty labels are InvalidSpec.
Result<std::string> normalize_domain(std::string_view domain);

// Whether `domain` is `zone` or lies below it. Both normalised.
bool in_zone(std::string_view domain, std::string_view zone) noexcept;

// The name of the TXT record that proves `domain` (normalised) to a certificate authority, RFC 8555 section
// 8.4: for a wildcard that of its parent. InvalidSpec when it is longer than DNS allows, 253 octets.
Result<std::string> challenge_name(std::string_view domain);

// What stands in that record: a SHA-256 digest in base64url, RFC 8555 section 8.4.
bool is_challenge_value(std::string_view value) noexcept;

// SHA-256 in lower-case hexadecimal, as fingerprints of keys are.
bool is_fingerprint(std::string_view key) noexcept;

// The candidate that is nearest to `word` by edit distance, or empty when none is near enough to be meant: at
// most a third of the letters differ, and not the digits alone. A word of more than 64 characters is nobody's
// typing error, and costs no comparison.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);
// The same for domains: what both have at the end, the zone, makes them no more alike.
std::string_view nearest_domain(std::string_view domain, std::span<const std::string_view> candidates);

// The node in "user@node".
std::string_view node_of(std::string_view by) noexcept;

} // namespace p2prc
