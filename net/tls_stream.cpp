#include "net/asio.h"
#include "net/tls_context.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

namespace p2prc::net {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;

int family_of(int fd) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 ? name.ss_family : AF_UNSPEC;
}

// SSL is born with the protocol that a client's verify callback consults; a server's is chosen by ALPN.
SSL* new_ssl(const TlsContext& context) {
    SSL* ssl = SSL_new(context.native());
    if (!ssl) throw std::bad_alloc();
    if (!SSL_is_server(ssl) && !context.state()->protocols.empty())
        set_protocol(ssl, context.state()->protocols.front());
    return ssl;
}

Error stream_error(const boost::system::error_code& error) {
    // "An internal error unrelated to the peer" (RFC 8446 section 6.2), such as the edge's when p2prcd is not
    // running.
    if (error.category() == asio::error::get_ssl_category() &&
        ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_TLSV1_ALERT_INTERNAL_ERROR)
        return {ErrorCode::Unreachable, "the peer reported an internal error (TLS alert internal_error)"};
    if (error.category() == asio::error::get_ssl_category())
        return {ErrorCode::NotPermitted, "TLS: " + error.message()};
    if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
        return {ErrorCode::Unreachable, "the peer closed the connection"};
    if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor)
        return {ErrorCode::Unreachable, "the connection was closed"};
    return {ErrorCode::Unreachable, error.message()};
}

} // namespace

struct TlsStream::State {
    State(asio::any_io_executor executor, UniqueFd socket, TlsContext settings)
        : context(std::move(settings))
        , stream(adopt(executor, std::move(socket)), new_ssl(context)) {}

    static Socket adopt(asio::any_io_executor executor, UniqueFd fd) {
        const asio::generic::stream_protocol protocol(family_of(fd.get()), 0);
        Socket socket(executor);
        boost::system::error_code error;
        socket.assign(protocol, fd.get(), error);
        if (!error) fd.release();
        return socket; // closed when it could not be adopted: the handshake then says so
    }

    void close() noexcept {
        boost::system::error_code ignored;
        stream.next_layer().close(ignored);
    }

    TlsContext context; // outlives the SSL
    asio::ssl::stream<Socket> stream;
    bool timed_out = false;
};

TlsStream::TlsStream(asio::any_io_executor executor, UniqueFd socket, const TlsContext& context)
    : state_(std::make_shared<State>(std::move(executor), std::move(socket), context)) {}
TlsStream::TlsStream(TlsStream&&) noexcept = default;
TlsStream& TlsStream::operator=(TlsStream&& other) noexcept {
    close();
    state_ = std::move(other.state_);
    return *this;
}
TlsStream::~TlsStream() {
    close();
}

asio::awaitable<Result<void>> TlsStream::handshake(Side side, std::chrono::milliseconds timeout,
                                                   Bytes received) {
    const auto state = state_;
    const auto type = side == Side::Client ? asio::ssl::stream_base::client : asio::ssl::stream_base::server;
    asio::steady_timer timer(state->stream.get_executor(), timeout);
    timer.async_wait([weak = std::weak_ptr(state)](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->timed_out = true;
        self->close();
    });
    boost::system::error_code error;
    if (received.empty()) {
        std::tie(error) = co_await state->stream.async_handshake(type, as_result);
    } else {
        const auto buffer = asio::buffer(received);
        std::size_t used = 0;
        std::tie(error, used) = co_await state->stream.async_handshake(type, buffer, as_result);
        if (!error && used != received.size()) error = asio::error::message_size;
    }
    timer.cancel();
    if (state->timed_out) co_return fail(ErrorCode::Unreachable, "the TLS handshake timed out");
    if (error) {
        state->close();
        co_return std::unexpected(stream_error(error));
    }
    co_return Result<void>();
}

asio::awaitable<Result<std::size_t>> TlsStream::read_some(std::span<std::uint8_t> buffer) {
    const auto state = state_;
    const auto target = asio::buffer(buffer.data(), buffer.size());
    const auto [error, size] = co_await state->stream.async_read_some(target, as_result);
    if (error) co_return std::unexpected(stream_error(error));
    co_return size;
}

asio::awaitable<Result<void>> TlsStream::write(ByteView data) {
    const auto state = state_;
    const auto source = asio::buffer(data.data(), data.size());
    const auto [error, size] = co_await asio::async_write(state->stream, source, as_result);
    if (error) co_return std::unexpected(stream_error(error));
    co_return Result<void>();
}

void TlsStream::close() noexcept {
    if (state_) state_->close();
}

std::string TlsStream::peer_fingerprint() const {
    const CertificatePtr certificate(SSL_get1_peer_certificate(state_->stream.native_handle()));
    return certificate_fingerprint(certificate.get());
}

std::string TlsStream::psk_identity() const {
    return chosen_psk_identity(state_->stream.native_handle());
}

std::string TlsStream::alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(state_->stream.native_handle(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

Result<Bytes> TlsStream::export_key(std::string_view label, std::size_t size) const {
    Bytes key(size);
    if (SSL_export_keying_material(state_->stream.native_handle(), key.data(), key.size(), label.data(),
                                   label.size(), nullptr, 0, 0) != 1)
        return openssl_fail("cannot export a key");
    return key;
}

int TlsStream::native_socket() const noexcept {
    return state_->stream.next_layer().native_handle();
}

} // namespace p2prc::net
