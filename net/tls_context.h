// What a TlsContext holds; only for net/tls*.cpp.
#pragma once

#include "net/openssl.h"
#include "net/tls.h"

namespace p2prc::net {

struct TlsContext::State {
    std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>> context;
    std::optional<Identity> identity;
    std::vector<TlsProtocol> protocols; // a client has one
    std::string secret_identity;        // of a client with a secret
    Bytes secret;
    std::string alpn_wire; // of a client, as SSL_set_alpn_protos takes it
};

// Tells the verify callback of a connection which protocol's peers it checks. `protocol` outlives the
// connection.
void set_protocol(SSL* ssl, const TlsProtocol& protocol);

// The identity that a client's external pre-shared key had; empty otherwise.
std::string chosen_psk_identity(SSL* ssl);

} // namespace p2prc::net
