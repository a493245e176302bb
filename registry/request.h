// One request on its way through the rules, and what all rules share.
#pragma once

#include "registry/draft.h"
#include "registry/registry.h"

namespace p2prc::registry {

struct Request {
    Draft& draft;
    const Actor& actor;
    const Json& params;
    std::int64_t now; // Unix seconds
    const SignCertificate& sign;

    // "user@node" of the caller: the node is the verified one, only the user is the caller's word.
    std::string by() const;
    // RFC 3339.
    std::string at() const;
    bool is_owner() const;
    // Whether the caller may change it: owners may, a member what is on its own node and what it made itself.
    bool may_change(const ProcessRecord& process) const;
    bool may_change(const DomainRecord& mapping) const;
};

// A member of params that must be there and be one line of text, at most 512 bytes long and without control
// characters, so that it may be looked up, compared and quoted; InvalidSpec names it.
Result<std::string> text_param(const Request& request, const char* key);
// The same, empty when it is missing or null.
Result<std::string> optional_text(const Request& request, const char* key);
// A member that must be there and be PEM, at most 16 KiB.
Result<std::string> pem_param(const Request& request, const char* key);

// "user" of "user@node", reduced to what a user name may have.
std::string user_of(std::string_view by);

// `bytes` random bytes in hexadecimal.
Result<std::string> random_hex(std::size_t bytes);

} // namespace p2prc::registry
