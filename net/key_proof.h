// Proves over a connection that the sender holds a key, if the connection itself was authenticated in another
// way.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "net/identity.h"

#include <string>
#include <string_view>

namespace p2prc::net {

// The key and its signature, as text, over `context`: bytes of this one connection that no third party can
// choose, such as an exporter value (RFC 8446 section 7.5). A proof for one context is worth nothing in
// another.
Result<std::string> prove_key(const Identity& identity, ByteView context);

// The fingerprint of the key that made `proof`; NotPermitted if the proof is invalid.
Result<std::string> proven_key(std::string_view proof, ByteView context);

} // namespace p2prc::net
