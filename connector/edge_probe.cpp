#include "connector/edge_probe.h"

#include "net/asio.h"
#include "net/dial.h"
#include "net/one_shot_timer.h"
#include "net/openssl.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>

namespace p2prc::connector {
namespace asio = boost::asio;
namespace {

using ContextPtr = std::unique_ptr<SSL_CTX, net::OpenSslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, net::OpenSslFree<SSL_free>>;

// What the other side has sent of the handshake.
struct Answered {
    bool hello = false; // a ServerHello (RFC 8446 section 4.1.3)
    bool alert = false;
};

// Called for each message, with the Answered.
void note_answer(int write, int, int content, const void* message, std::size_t size, SSL*, void* answered) {
    constexpr unsigned char server_hello = 2;
    if (write != 0 || size == 0) return;
    auto& noted = *static_cast<Answered*>(answered);
    if (content == SSL3_RT_ALERT) noted.alert = true;
    if (content == SSL3_RT_HANDSHAKE && *static_cast<const unsigned char*>(message) == server_hello)
        noted.hello = true;
}

ProbeResult failure(SSL* ssl, const Answered& answered) {
    const unsigned long error = ERR_peek_last_error();
    const int reason = ERR_GET_REASON(error);
    ERR_clear_error();
    if (error != 0 && reason > SSL_AD_REASON_OFFSET)
        return {Visit::Refused, fmt::format("the edge answers with the alert '{}'",
                                            SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET))};
    if (BIO_number_read(SSL_get_rbio(ssl)) == 0) return {Visit::Closed, "the edge closes the connection"};
    if (!answered.hello && !answered.alert) return {Visit::NotTls, "visitors get an answer that is not TLS"};
    return {Visit::Refused, "the handshake breaks off"};
}

asio::awaitable<ProbeResult> handshake(SSL* ssl, asio::posix::stream_descriptor& socket, const bool& late,
                                       const Answered& answered) {
    using Descriptor = asio::posix::stream_descriptor;
    while (true) {
        ERR_clear_error();
        const int done = SSL_do_handshake(ssl);
        if (done == 1) co_return ProbeResult{};
        const int wanted = SSL_get_error(ssl, done);
        if (wanted != SSL_ERROR_WANT_READ && wanted != SSL_ERROR_WANT_WRITE) co_return failure(ssl, answered);
        const auto direction = wanted == SSL_ERROR_WANT_READ ? Descriptor::wait_read : Descriptor::wait_write;
        const auto [error] = co_await socket.async_wait(direction, net::as_result);
        if (error)
            co_return ProbeResult{Visit::Refused,
                                  late ? "the edge does not answer" : "the connection to the edge broke"};
    }
}

ProbeResult check_shown(SSL* ssl, SSL_CTX* own) {
    const net::CertificatePtr shown(SSL_get1_peer_certificate(ssl));
    const X509* expected = SSL_CTX_get0_certificate(own);
    if (shown && expected && X509_cmp(shown.get(), expected) == 0) return {};
    return {Visit::Refused, "visitors get another certificate than this node's own"};
}

} // namespace

asio::awaitable<ProbeResult> probe_edge(EdgeProbe probe) {
    const auto executor = co_await asio::this_coro::executor;
    Result<net::UniqueFd> socket = co_await net::dial(probe.edge, probe.timeout);
    if (!socket) co_return ProbeResult{Visit::Refused, "the edge does not answer"};
    const ContextPtr context(SSL_CTX_new(TLS_client_method()));
    const SslPtr ssl(context ? SSL_new(context.get()) : nullptr);
    if (!ssl) co_return ProbeResult{Visit::Refused, net::openssl_fail("no TLS client").error().message};
    Answered answered;
    SSL_set_msg_callback(ssl.get(), note_answer);
    SSL_set_msg_callback_arg(ssl.get(), &answered);
    // The macro of the same purpose casts as C does.
    SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, probe.name.data());
    // TLS servers ignore the second name (RFC 7301 section 3.2); to a server of lines, such as one of plain
    // HTTP, it ends a request, which it then answers at once.
    constexpr std::string_view protocols = "\x08http/1.1\x04\r\n\r\n";
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
    SSL_set_fd(ssl.get(), socket->get());
    SSL_set_connect_state(ssl.get());
    asio::posix::stream_descriptor waiter(executor, socket->release());
    bool late = false;
    net::OneShotTimer deadline(executor);
    deadline.arm(probe.timeout, [&] {
        late = true;
        boost::system::error_code ignored;
        waiter.cancel(ignored);
    });
    ProbeResult secured = co_await handshake(ssl.get(), waiter, late, answered);
    if (!probe.own && answered.hello) co_return ProbeResult{};
    if (!probe.own || secured.visit != Visit::Served) co_return secured;
    ProbeResult checked = check_shown(ssl.get(), probe.own.get());
    SSL_shutdown(ssl.get());
    co_return checked;
}

} // namespace p2prc::connector
