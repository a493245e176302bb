#include "net/asio.h"
#include "net/records_without_data.h"
#include "net/tls_context.h"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace p2prc::net {
namespace {

namespace asio = boost::asio;
using Socket = asio::generic::stream_protocol::socket;

int family_of(int fd) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size) == 0 ? name.ss_family : AF_UNSPEC;
}

Error closed_by_peer() {
    return {ErrorCode::Unreachable, "the peer closed the connection"};
}

Error closed_here() {
    return {ErrorCode::Unreachable, "the connection was closed"};
}

// Of the oldest error that OpenSSL has noted: what came first is what the others follow from.
Error noted_error() {
    const auto code = ERR_get_error();
    ERR_clear_error();
    const int reason = ERR_GET_REASON(code);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) return closed_by_peer();
    // "An internal error unrelated to the peer" (RFC 8446 section 6.2), such as the edge's when p2prcd is not
    // running.
    if (reason == SSL_R_TLSV1_ALERT_INTERNAL_ERROR)
        return {ErrorCode::Unreachable, "the peer reported an internal error (TLS alert internal_error)"};
    const char* words = ERR_reason_error_string(code);
    return {ErrorCode::NotPermitted,
            std::string("TLS: ") + (words ? words : "the peer cannot be understood")};
}

} // namespace

// OpenSSL reads and writes the socket itself, and its buffers are there only while something is under way: a
// root holds a link to each member, and most are silent most of the time. asio::ssl::stream would keep 68 KiB
// for each.
struct TlsStream::State {
    State(asio::any_io_executor executor, UniqueFd fd, TlsContext settings)
        : context(std::move(settings))
        , socket(adopt(std::move(executor), std::move(fd)))
        , ssl(SSL_new(context.native())) {
        if (!ssl) throw std::bad_alloc();
        BIO* bio = new_bio(method(), this);
        SSL_set_bio(ssl.get(), bio, bio);
        // What has come is taken from the kernel at once, not each record's head by itself.
        SSL_set_read_ahead(ssl.get(), 1);
        // SSL is born with the protocol that a client's verify callback consults; a server's is chosen by
        // ALPN.
        if (!SSL_is_server(ssl.get()) && !context.state()->protocols.empty())
            set_protocol(ssl.get(), context.state()->protocols.front());
    }

    static Socket adopt(asio::any_io_executor executor, UniqueFd fd) {
        const asio::generic::stream_protocol protocol(family_of(fd.get()), 0);
        Socket socket(executor);
        boost::system::error_code error;
        socket.assign(protocol, fd.get(), error);
        if (!error) fd.release();
        return socket; // closed when it could not be adopted: the handshake then says so
    }

    // The socket as a BIO. Not OpenSSL's own, whose write(2) would raise SIGPIPE.
    static const BIO_METHOD* method() {
        static const BIO_METHOD* const made =
            make_bio_method({.name = "socket", .read = read_bio, .write = write_bio, .control = control_bio});
        return made;
    }
    static long control_bio(BIO* bio, int command, long, void*) {
        if (command == BIO_CTRL_EOF) return static_cast<State*>(BIO_get_data(bio))->ended ? 1 : 0;
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static int read_bio(BIO* bio, char* data, int size) {
        auto& self = *static_cast<State*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        if (self.idle.too_many()) return -1;
        if (!self.received.empty()) {
            const auto count = std::min(self.received.size(), static_cast<std::size_t>(size));
            std::copy_n(self.received.begin(), count, data);
            self.received.erase(self.received.begin(),
                                self.received.begin() + static_cast<std::ptrdiff_t>(count));
            return static_cast<int>(count);
        }
        const auto count =
            ::recv(self.socket.native_handle(), data, static_cast<std::size_t>(size), MSG_DONTWAIT);
        if (count < 0) return self.failed(bio, BIO_FLAGS_READ);
        self.ended = count == 0;
        return static_cast<int>(count);
    }
    static int write_bio(BIO* bio, const char* data, int size) {
        auto& self = *static_cast<State*>(BIO_get_data(bio));
        BIO_clear_retry_flags(bio);
        const auto count = ::send(self.socket.native_handle(), data, static_cast<std::size_t>(size),
                                  MSG_DONTWAIT | MSG_NOSIGNAL);
        return count < 0 ? self.failed(bio, BIO_FLAGS_WRITE) : static_cast<int>(count);
    }
    int failed(BIO* bio, int direction) {
        if (errno == EAGAIN || errno == EINTR)
            BIO_set_flags(bio, direction | BIO_FLAGS_SHOULD_RETRY);
        else
            error = errno;
        return -1;
    }

    // What OpenSSL could not do for another reason than that it has to wait.
    Error failure(int why) const {
        if (!socket.is_open()) return closed_here();
        if (idle.too_many())
            return {ErrorCode::NotPermitted, "TLS: the peer sends records without data and nothing else"};
        if (why == SSL_ERROR_ZERO_RETURN) return closed_by_peer();
        if (why == SSL_ERROR_SSL) return noted_error();
        if (error == 0) return closed_by_peer();
        return {ErrorCode::Unreachable,
                boost::system::error_code(error, boost::system::system_category()).message()};
    }

    // SSL_read_ex, for perform().
    static int read(State& self, std::span<std::uint8_t> buffer, std::size_t& size) {
        const int done = SSL_read_ex(self.ssl.get(), buffer.data(), buffer.size(), &size);
        if (done > 0) self.idle.data_came();
        return done;
    }

    // Calls `operation` until it has done something, waiting for the socket in between.
    template <class Operation>
    static asio::awaitable<Result<std::size_t>> perform(std::shared_ptr<State> self, Operation operation) {
        while (true) {
            ERR_clear_error();
            std::size_t size = 0;
            const int done = operation(self->ssl.get(), size);
            if (done > 0) {
                // Others have their turn, also where the peer always has more to say.
                co_await asio::post(self->socket.get_executor(), asio::use_awaitable);
                co_return size;
            }
            const int why = SSL_get_error(self->ssl.get(), done);
            if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
                co_return std::unexpected(self->failure(why));
            const auto [waited] = co_await self->socket.async_wait(
                why == SSL_ERROR_WANT_READ ? Socket::wait_read : Socket::wait_write, as_result);
            if (waited) co_return std::unexpected(closed_here());
        }
    }

    void close() noexcept {
        boost::system::error_code ignored;
        socket.close(ignored);
    }

    TlsContext context; // outlives the SSL
    Socket socket;
    std::unique_ptr<SSL, OpenSslFree<SSL_free>> ssl;
    Bytes received;     // before the handshake; OpenSSL reads it first
    bool ended = false; // the peer sends nothing more
    int error = 0;      // errno of the socket
    bool timed_out = false;
    RecordsWithoutData idle;
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
    state->received = std::move(received);
    if (side == Side::Client)
        SSL_set_connect_state(state->ssl.get());
    else
        SSL_set_accept_state(state->ssl.get());
    asio::steady_timer timer(state->socket.get_executor(), timeout);
    timer.async_wait([weak = std::weak_ptr(state)](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (error || !self) return;
        self->timed_out = true;
        self->close();
    });
    const auto shake = [](SSL* ssl, std::size_t&) { return SSL_do_handshake(ssl); };
    const auto done = co_await State::perform(state, shake);
    timer.cancel();
    if (state->timed_out) co_return fail(ErrorCode::Unreachable, "the TLS handshake timed out");
    if (done) {
        state->idle.watch(state->ssl.get());
        co_return Result<void>();
    }
    state->close();
    co_return std::unexpected(done.error());
}

asio::awaitable<Result<std::size_t>> TlsStream::read_some(std::span<std::uint8_t> buffer) {
    const auto read = [state = state_.get(), buffer](SSL*, std::size_t& size) {
        return State::read(*state, buffer, size);
    };
    co_return co_await State::perform(state_, read);
}

asio::awaitable<Result<Bytes>> TlsStream::read_some() {
    Bytes received;
    const auto read = [state = state_.get(), &received](SSL*, std::size_t& size) {
        thread_local std::array<std::uint8_t, 16384> buffer; // the largest record (RFC 8446 section 5.1)
        const int done = State::read(*state, buffer, size);
        if (done > 0) received.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(size));
        return done;
    };
    const auto done = co_await State::perform(state_, read);
    if (!done) co_return std::unexpected(done.error());
    co_return received;
}

asio::awaitable<Result<void>> TlsStream::write(ByteView data) {
    if (data.empty()) co_return Result<void>();
    const auto write = [data](SSL* ssl, std::size_t& size) {
        return SSL_write_ex(ssl, data.data(), data.size(), &size);
    };
    const auto done = co_await State::perform(state_, write);
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>();
}

void TlsStream::close() noexcept {
    if (state_) state_->close();
}

std::string TlsStream::peer_fingerprint() const {
    const CertificatePtr certificate(SSL_get1_peer_certificate(state_->ssl.get()));
    return certificate_fingerprint(certificate.get());
}

std::string TlsStream::psk_identity() const {
    return chosen_psk_identity(state_->ssl.get());
}

std::string TlsStream::alpn() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(state_->ssl.get(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
}

Result<Bytes> TlsStream::export_key(std::string_view label, std::size_t size) const {
    Bytes key(size);
    if (SSL_export_keying_material(state_->ssl.get(), key.data(), key.size(), label.data(), label.size(),
                                   nullptr, 0, 0) != 1)
        return openssl_fail("cannot export a key");
    return key;
}

} // namespace p2prc::net
