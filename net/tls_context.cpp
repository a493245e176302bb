#include "net/tls_context.h"

#include "core/callback.h"

#include <algorithm>

namespace p2prc::net {
namespace {

using State = TlsContext::State;

// RFC 8446 appendix B.4. An external key's hash must be that of the cipher; with another one OpenSSL 3.0
// silently finds no match.
constexpr unsigned char aes_128_gcm_sha256[] = {0x13, 0x01};
constexpr const char* psk_cipher = "TLS_AES_128_GCM_SHA256";

void free_string(void*, void* pointer, CRYPTO_EX_DATA*, int, long, void*) {
    delete static_cast<std::string*>(pointer);
}

// The slot of an SSL in which the identity of the pre-shared key is kept.
int identity_slot() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_string);
    return index;
}

State* state_of(const SSL* ssl) {
    return static_cast<State*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

// The slot of the protocol in use. SSL's own "application data" belongs to Asio, which deletes what it finds
// there.
int protocol_slot() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

const TlsProtocol* protocol_of(const SSL* ssl) {
    return static_cast<const TlsProtocol*>(SSL_get_ex_data(ssl, protocol_slot()));
}

SSL_SESSION* session_for(SSL* ssl, const Bytes& secret) {
    SSL_SESSION* session = SSL_SESSION_new();
    if (session && SSL_SESSION_set1_master_key(session, secret.data(), secret.size()) == 1 &&
        SSL_SESSION_set_cipher(session, SSL_CIPHER_find(ssl, aes_128_gcm_sha256)) == 1 &&
        SSL_SESSION_set_protocol_version(session, TLS1_3_VERSION) == 1)
        return session;
    SSL_SESSION_free(session);
    return nullptr;
}

// Server: the client names a pre-shared key. An unknown one is no error for OpenSSL, which then goes on
// without a key; having no certificate either, it ends in handshake_failure as for a wrong secret.
int find_secret(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) noexcept {
    *session = nullptr;
    return guard_callback("looking an invitation up", 0, [&] {
        const auto* protocol = protocol_of(ssl);
        if (!protocol || !protocol->secret) return 1;
        auto name = std::make_unique<std::string>(reinterpret_cast<const char*>(identity), size);
        const auto secret = protocol->secret(*name);
        if (!secret) return 1;
        *session = session_for(ssl, *secret);
        if (!*session) return 0;
        delete static_cast<std::string*>(SSL_get_ex_data(ssl, identity_slot()));
        SSL_set_ex_data(ssl, identity_slot(), name.release());
        return 1;
    });
}

// Client: offers the secret. `hash` is set at a second call, after HelloRetryRequest.
int use_secret(SSL* ssl, const EVP_MD*, const unsigned char** identity, std::size_t* size,
               SSL_SESSION** session) noexcept {
    State* state = state_of(ssl);
    *identity = reinterpret_cast<const unsigned char*>(state->secret_identity.data());
    *size = state->secret_identity.size();
    *session = session_for(ssl, state->secret);
    return *session != nullptr;
}

// Replaces chain building altogether: the fingerprint decides.
int verify_key(X509_STORE_CTX* store, void*) noexcept {
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto* protocol = protocol_of(ssl);
    const bool accepted = guard_callback("checking a key", false, [&] {
        const auto fingerprint = certificate_fingerprint(X509_STORE_CTX_get0_cert(store));
        return protocol && protocol->accept && !fingerprint.empty() && protocol->accept(fingerprint);
    });
    if (accepted) return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

// The body of an ALPN extension that offers one protocol and no more (RFC 7301 section 3.1), or nothing.
std::optional<std::string_view> sole_protocol(const unsigned char* data, std::size_t size) {
    if (size < 4 || data[0] * 256U + data[1] != size - 2 || data[2] != size - 3) return {};
    return std::string_view(reinterpret_cast<const char*>(data + 3), size - 3);
}

// Sets the connection up for the protocol that its ALPN names, before anything else of the hello is used.
// OpenSSL calls again for the hello after a HelloRetryRequest, which differs from the first in the ways of
// RFC 8446 section 4.1.2 only: a protocol is chosen once, and stays.
int choose_protocol(SSL* ssl, int* alert, void*) noexcept {
    State* state = state_of(ssl);
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size))
        return SSL_CLIENT_HELLO_ERROR;
    const auto name = sole_protocol(data, size);
    const auto protocol =
        std::ranges::find_if(state->protocols, [&](const auto& p) { return p.alpn == name; });
    if (!name || protocol == state->protocols.end()) return SSL_CLIENT_HELLO_ERROR;
    if (const auto* chosen = protocol_of(ssl)) {
        *alert = SSL_AD_ILLEGAL_PARAMETER;
        return chosen == &*protocol ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
    }

    set_protocol(ssl, *protocol);
    if (protocol->secret) {
        SSL_set_psk_find_session_callback(ssl, find_secret);
        if (SSL_set_ciphersuites(ssl, psk_cipher) == 1) return SSL_CLIENT_HELLO_SUCCESS;
    } else {
        SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        if (SSL_use_certificate(ssl, state->identity->certificate()) == 1 &&
            SSL_use_PrivateKey(ssl, state->identity->key()) == 1)
            return SSL_CLIENT_HELLO_SUCCESS;
    }
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

int select_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char*, unsigned,
                void*) noexcept {
    const auto* protocol = protocol_of(ssl);
    if (!protocol) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = reinterpret_cast<const unsigned char*>(protocol->alpn.data());
    *size = static_cast<unsigned char>(protocol->alpn.size());
    return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<State>> make_state(const SSL_METHOD* method) {
    auto state = std::make_shared<State>();
    state->context.reset(SSL_CTX_new(method));
    SSL_CTX* context = state->context.get();
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(context, 0) != 1 || SSL_CTX_set_app_data(context, state.get()) != 1)
        return openssl_fail("cannot set TLS up");
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_cert_verify_callback(context, verify_key, nullptr);
    // A peer's certificate message is one small certificate.
    SSL_CTX_set_max_cert_list(context, 8192);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return state;
}

Result<void> set_client_alpn(State& state, std::string alpn) {
    if (alpn.empty() || alpn.size() > 255) return fail(ErrorCode::Failed, "an ALPN name is 1 to 255 bytes");
    state.alpn_wire = std::string(1, static_cast<char>(alpn.size())) + alpn;
    const auto* wire = reinterpret_cast<const unsigned char*>(state.alpn_wire.data());
    // Unlike its neighbours this one returns 0 on success.
    if (SSL_CTX_set_alpn_protos(state.context.get(), wire, static_cast<unsigned>(state.alpn_wire.size())) !=
        0)
        return openssl_fail("cannot set ALPN");
    return {};
}

} // namespace

ssl_ctx_st* TlsContext::native() const noexcept {
    return state_->context.get();
}

void set_protocol(SSL* ssl, const TlsProtocol& protocol) {
    SSL_set_ex_data(ssl, protocol_slot(), const_cast<TlsProtocol*>(&protocol));
}

std::string chosen_psk_identity(SSL* ssl) {
    const auto* identity = static_cast<const std::string*>(SSL_get_ex_data(ssl, identity_slot()));
    return identity && SSL_session_reused(ssl) ? *identity : std::string();
}

Result<TlsContext> tls_server(const Identity& identity, std::vector<TlsProtocol> protocols) {
    auto state = make_state(TLS_server_method());
    if (!state) return std::unexpected(state.error());
    (*state)->identity = identity;
    (*state)->protocols = std::move(protocols);
    SSL_CTX_set_client_hello_cb((*state)->context.get(), choose_protocol, nullptr);
    SSL_CTX_set_alpn_select_cb((*state)->context.get(), select_alpn, nullptr);
    return TlsContext(std::move(*state));
}

Result<TlsContext> tls_client(const Identity& identity, std::string alpn, KeyCheck accept) {
    auto state = make_state(TLS_client_method());
    if (!state) return std::unexpected(state.error());
    SSL_CTX* context = (*state)->context.get();
    (*state)->identity = identity;
    if (auto set = set_client_alpn(**state, alpn); !set) return std::unexpected(set.error());
    (*state)->protocols.push_back({std::move(alpn), std::move(accept), {}});
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (SSL_CTX_use_certificate(context, identity.certificate()) != 1 ||
        SSL_CTX_use_PrivateKey(context, identity.key()) != 1)
        return openssl_fail("cannot use the key");
    return TlsContext(std::move(*state));
}

Result<TlsContext> tls_client_with_secret(std::string alpn, std::string identity, Bytes secret) {
    auto state = make_state(TLS_client_method());
    if (!state) return std::unexpected(state.error());
    SSL_CTX* context = (*state)->context.get();
    if (auto set = set_client_alpn(**state, alpn); !set) return std::unexpected(set.error());
    // Should a server answer with a certificate instead, it is refused: `accept` is empty.
    (*state)->protocols.push_back({std::move(alpn), {}, {}});
    (*state)->secret_identity = std::move(identity);
    (*state)->secret = std::move(secret);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_psk_use_session_callback(context, use_secret);
    if (SSL_CTX_set_ciphersuites(context, psk_cipher) != 1) return openssl_fail("cannot choose a cipher");
    return TlsContext(std::move(*state));
}

} // namespace p2prc::net
