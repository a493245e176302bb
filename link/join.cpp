#include "link/join.h"

#include "link/server.h"
#include "link/session.h"
#include "net/clock.h"
#include "net/dial.h"
#include "net/key_proof.h"
#include "net/log_tally.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json.hpp>

namespace p2prc::link {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto dial_time = 2000ms;
constexpr auto handshake_time = 5000ms;
// A joining node may bring many processes; its whole admission is one transaction.
constexpr auto answer_time = 30000ms;
// The handshake shows the invitation's secret alone; this binds the node's key to the same connection.
constexpr std::string_view proof_label = "EXPORTER-p2prc-join-1";
constexpr std::size_t proof_size = 32;

asio::awaitable<Result<net::TlsStream>> connect(asio::any_io_executor executor, const JoinToken& token) {
    const auto secret = Bytes(token.secret.begin(), token.secret.end());
    const auto context = net::tls_client_with_secret(std::string(join_alpn), token.id, secret);
    if (!context) co_return std::unexpected(context.error());
    Error last{ErrorCode::Unreachable, "the token names no address"};
    for (const auto& endpoint : token.addresses) {
        auto socket = co_await net::dial(endpoint, dial_time);
        if (!socket) {
            last = socket.error();
            continue;
        }
        net::TlsStream stream(executor, std::move(*socket), *context);
        const auto done = co_await stream.handshake(net::TlsStream::Side::Client, handshake_time);
        if (done) co_return std::move(stream);
        last = {done.error().code, endpoint.text() + ": " + done.error().message};
        if (last.code == ErrorCode::NotPermitted) break;
    }
    co_return std::unexpected(last);
}

// TLS does not say why a handshake was refused. Guess expiry from the token's date and our clock: only a
// guess.
Error explain(const Error& error, const JoinToken& token) {
    const std::string ask = "ask for a new one: p2prc invite, on the root node";
    if (error.code == ErrorCode::Unreachable)
        return {error.code, "cannot reach the root node: " + error.message,
                "check that this machine is online and that p2prc-edge is running on the root"};
    if (error.code != ErrorCode::NotPermitted) return error;
    const auto expires = std::chrono::system_clock::time_point(std::chrono::seconds(token.expires));
    if (expires < std::chrono::system_clock::now())
        return {error.code,
                "the root does not accept the invitation: it expired at " + net::to_rfc3339(expires), ask};
    return {error.code,
            "the root does not know this invitation: it has expired, was withdrawn, or is of another fleet",
            ask};
}

asio::awaitable<void> keep_reading(std::shared_ptr<Session> session) {
    SessionHandlers none;
    co_await session->run(std::move(none));
}

asio::awaitable<Result<Json>> verify(Admit admit, std::string invitation, Bytes exported, std::string method,
                                     Json params) {
    if (method != "node.join")
        co_return fail(ErrorCode::NotPermitted, "'" + method + "' is for members of the fleet");
    if (!params.is_object()) co_return fail(ErrorCode::InvalidSpec, "node.join takes an object");
    // Which invitation it is, TLS has verified.
    params["invitation"] = invitation;
    const auto proof = params.find("key_proof");
    auto key = net::proven_key(
        proof != params.end() && proof->is_string() ? proof->get_ref<const std::string&>() : "", exported);
    if (!key) co_return std::unexpected(key.error());
    params["key"] = std::move(*key);
    params.erase("key_proof");
    co_return co_await admit(std::move(params));
}

} // namespace

asio::awaitable<Result<Json>> redeem(asio::any_io_executor executor, JoinToken token, net::Identity identity,
                                     Json params) {
    auto stream = co_await connect(executor, token);
    if (!stream) co_return std::unexpected(explain(stream.error(), token));
    const auto exported = stream->export_key(proof_label, proof_size);
    if (!exported) co_return std::unexpected(exported.error());
    const auto proof = net::prove_key(identity, *exported);
    if (!proof) co_return std::unexpected(proof.error());
    params["key_proof"] = *proof;
    const auto session = Session::make(executor, std::move(*stream));
    Json mine{{"version", P2PRC_VERSION}};
    const auto theirs = co_await session->exchange_hello(std::move(mine), handshake_time);
    if (!theirs) co_return std::unexpected(explain(theirs.error(), token));
    asio::co_spawn(executor, keep_reading(session), net::ReportFailure("reading the answer to a join"));
    auto answer = co_await session->request("node.join", std::move(params), answer_time);
    session->close();
    co_return answer;
}

asio::awaitable<void> serve_join(asio::any_io_executor executor, Admit admit, net::TlsStream stream,
                                 net::Endpoint source) {
    const auto invitation = stream.psk_identity();
    const auto exported = stream.export_key(proof_label, proof_size);
    if (!exported) co_return;
    const auto session = Session::make(executor, std::move(stream));
    Json mine{{"version", P2PRC_VERSION}};
    const auto theirs = co_await session->exchange_hello(std::move(mine), handshake_time);
    if (!theirs) co_return;
    // Who holds an invitation may try it as often as it likes.
    static net::LogTally redeemed("invitations that are redeemed");
    redeemed.note("from " + source.text(), net::boottime());
    SessionHandlers handlers;
    handlers.request = [admit, invitation, exported = *exported](std::string method, Json params) {
        return verify(admit, invitation, exported, std::move(method), std::move(params));
    };
    asio::steady_timer timer(executor, answer_time);
    timer.async_wait([weak = std::weak_ptr(session)](const boost::system::error_code& error) {
        if (const auto open = weak.lock(); !error && open) open->close();
    });
    co_await session->run(std::move(handlers));
}

} // namespace p2prc::link
