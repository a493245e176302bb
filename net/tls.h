// TLS 1.3 as p2prc uses it: peers are authenticated by the fingerprint of their key, or by a shared secret.
//
// Chains, dates and names are not checked; there are no tickets and no resumption.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "net/fd.h"
#include "net/identity.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct ssl_ctx_st; // OpenSSL's SSL_CTX

namespace p2prc::net {

// Whether the key with this fingerprint is accepted. Called in each handshake, on the loop's thread.
using KeyCheck = std::function<bool(std::string_view fingerprint)>;
// The secret of a pre-shared key's identity; nothing when it is not known (any more).
using SecretLookup = std::function<std::optional<Bytes>(std::string_view identity)>;

// One protocol that a server speaks, chosen by the client's ALPN before anything else is looked at. Exactly
// one of `accept` (both ends show a certificate) and `secret` (TLS_AES_128_GCM_SHA256 with an external
// pre-shared key and no certificates, RFC 8446 section 4.2.11) is set.
struct TlsProtocol {
    std::string alpn;
    KeyCheck accept;
    SecretLookup secret;
};

// Settings of one end, shared by its connections. Cheap to copy.
class TlsContext {
  public:
    struct State;
    explicit TlsContext(std::shared_ptr<State> state) : state_(std::move(state)) {}
    ssl_ctx_st* native() const noexcept;
    const std::shared_ptr<State>& state() const noexcept { return state_; }

  private:
    std::shared_ptr<State> state_;
};

// A ClientHello must offer one of `protocols` as its sole ALPN, or it gets an alert
// `no_application_protocol`.
Result<TlsContext> tls_server(const Identity& identity, std::vector<TlsProtocol> protocols);
// Sends `alpn` alone and no SNI.
Result<TlsContext> tls_client(const Identity& identity, std::string alpn, KeyCheck accept);
// `secret` is 32 bytes.
Result<TlsContext> tls_client_with_secret(std::string alpn, std::string identity, Bytes secret);

// A connected socket with TLS on it. One read and one write may be under way at a time; the object may be
// destroyed while they are, and they then fail. All on the executor's one thread.
class TlsStream {
  public:
    enum class Side { Client, Server };

    // Takes the connected stream socket (TCP or Unix).
    TlsStream(boost::asio::any_io_executor executor, UniqueFd socket, const TlsContext& context);
    TlsStream(TlsStream&&) noexcept;
    TlsStream& operator=(TlsStream&&) noexcept;
    ~TlsStream();

    // `received` are bytes already read from the socket, on the server side. NotPermitted if the peer's key
    // is not accepted; Unreachable if the peer closes or `timeout` passes. On failure the socket is closed.
    // In TLS 1.3 the client finishes before the server has checked its key: a refusal shows at the first
    // read.
    boost::asio::awaitable<Result<void>> handshake(Side side, std::chrono::milliseconds timeout,
                                                   Bytes received = {});
    // At least one byte into `buffer`, or Unreachable "closed" at the end. The buffer must live until then.
    boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::uint8_t> buffer);
    // The same, for a stream that is silent most of the time: it has no buffer while it waits.
    boost::asio::awaitable<Result<Bytes>> read_some();
    // All of `data`, which must live until then.
    boost::asio::awaitable<Result<void>> write(ByteView data);
    // Drops the connection; operations in progress fail.
    void close() noexcept;

    // After the handshake.
    std::string peer_fingerprint() const; // empty with a shared secret
    std::string psk_identity() const;     // server side; empty with certificates
    std::string alpn() const;
    // RFC 8446 section 7.5, with an empty context.
    Result<Bytes> export_key(std::string_view label, std::size_t size) const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::net
