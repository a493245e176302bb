// The settings for terminating TLS at home: one for each mapping, with its own certificate, only for its own
// name.
#pragma once

#include "core/error.h"

#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;

namespace p2prc::connector {

// A server context for `domain` ("*.x" is exactly one left label) from PEM texts: the chain, the leaf first,
// and its key. A client that asks for another name gets the alert `unrecognized_name` (RFC 6066 section 3):
// names share the root's address, and a browser must not take one node's connection for another's.
Result<std::shared_ptr<ssl_ctx_st>> make_tls_context(const std::string& domain, const std::string& chain_pem,
                                                     const std::string& key_pem);

// Whether a client that names `name` means `domain`; an absent name does, since the edge has routed by it.
bool name_matches(std::string_view domain, std::string_view name);

} // namespace p2prc::connector
