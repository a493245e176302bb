#include "net/openssl.h"
#include "net/tls.h"
#include "tests/unit/net/tls_pair.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace p2prc::net {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

struct Pair {
    UniqueFd first, second;
};

Pair socket_pair() {
    int fds[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

struct Outcome {
    Result<void> handshake = fail(ErrorCode::Failed, "not run");
    std::string peer, psk, alpn, received;
    Result<Bytes> exported = fail(ErrorCode::Failed, "not run");
};

// Handshake, then each side sends a word and reads one.
asio::awaitable<void> talk(TlsStream& stream, TlsStream::Side side, std::string word, Outcome& outcome) {
    outcome.handshake = co_await stream.handshake(side, 20s);
    if (!outcome.handshake) co_return;
    const auto sent = co_await stream.write(as_bytes(word));
    std::array<std::uint8_t, 64> buffer{};
    const auto size = co_await stream.read_some(buffer);
    if (!sent || !size) {
        outcome.handshake = std::unexpected(size ? sent.error() : size.error());
        stream.close();
        co_return;
    }
    outcome.received.assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(*size));
    outcome.peer = stream.peer_fingerprint();
    outcome.psk = stream.psk_identity();
    outcome.alpn = stream.alpn();
    outcome.exported = stream.export_key("EXPORTER-test", 32);
}

struct Both {
    Outcome server, client;
};

Both run(const TlsContext& server, const TlsContext& client) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream a(loop.get_executor(), std::move(sockets.first), server);
    TlsStream b(loop.get_executor(), std::move(sockets.second), client);
    Both both;
    asio::co_spawn(loop, talk(a, TlsStream::Side::Server, "from server", both.server), asio::detached);
    asio::co_spawn(loop, talk(b, TlsStream::Side::Client, "from client", both.client), asio::detached);
    loop.run();
    return both;
}

class Tls : public testing::Test {
  protected:
    static KeyCheck only(const Identity& identity) {
        return [key = identity.fingerprint()](std::string_view shown) { return shown == key; };
    }
    SecretLookup secrets() const {
        return [this](std::string_view identity) -> std::optional<Bytes> {
            if (identity == "invitation-1") return secret;
            return {};
        };
    }
    TlsContext server_context() const {
        return *tls_server(root, {{"control/1", only(member), {}}, {"join/1", {}, secrets()}});
    }

    const Identity root = *Identity::generate();
    const Identity member = *Identity::generate();
    const Identity stranger = *Identity::generate();
    const Bytes secret = Bytes(32, 0x5a);
};

TEST_F(Tls, PinnedKeysAreAccepted) {
    const auto both = run(server_context(), *tls_client(member, "control/1", only(root)));
    ASSERT_TRUE(both.server.handshake) << both.server.handshake.error().message;
    ASSERT_TRUE(both.client.handshake) << both.client.handshake.error().message;
    EXPECT_EQ(both.server.peer, member.fingerprint());
    EXPECT_EQ(both.client.peer, root.fingerprint());
    EXPECT_EQ(both.server.received, "from client");
    EXPECT_EQ(both.client.received, "from server");
    EXPECT_EQ(both.server.alpn, "control/1");
    EXPECT_EQ(both.client.alpn, "control/1");
    EXPECT_EQ(both.server.psk, "");
    EXPECT_EQ(both.server.exported, both.client.exported);
}

TEST_F(Tls, AnotherClientKeyIsRefused) {
    const auto both = run(server_context(), *tls_client(stranger, "control/1", only(root)));
    ASSERT_FALSE(both.server.handshake);
    EXPECT_EQ(both.server.handshake.error().code, ErrorCode::NotPermitted);
    ASSERT_FALSE(both.client.handshake);
    EXPECT_EQ(both.client.handshake.error().code, ErrorCode::NotPermitted)
        << both.client.handshake.error().message;
}

TEST_F(Tls, AnInternalErrorOfThePeerIsNoRefusal) {
    asio::io_context loop;
    auto sockets = socket_pair();
    constexpr std::array<std::uint8_t, 7> alert{21, 3, 3, 0, 2, 2, 80};
    ASSERT_EQ(::send(sockets.first.get(), alert.data(), alert.size(), 0), 7);
    TlsStream client(loop.get_executor(), std::move(sockets.second),
                     *tls_client(member, "control/1", only(root)));
    Outcome outcome;
    asio::co_spawn(loop, talk(client, TlsStream::Side::Client, "word", outcome), asio::detached);
    loop.run();
    ASSERT_FALSE(outcome.handshake);
    EXPECT_EQ(outcome.handshake.error().code, ErrorCode::Unreachable) << outcome.handshake.error().message;
}

TEST_F(Tls, AnotherServerKeyIsRefused) {
    const auto both = run(server_context(), *tls_client(member, "control/1", only(stranger)));
    ASSERT_FALSE(both.client.handshake);
    EXPECT_EQ(both.client.handshake.error().code, ErrorCode::NotPermitted);
    EXPECT_FALSE(both.server.handshake);
}

TEST_F(Tls, SharedSecretNeedsNoCertificate) {
    const auto both = run(server_context(), *tls_client_with_secret("join/1", "invitation-1", secret));
    ASSERT_TRUE(both.server.handshake) << both.server.handshake.error().message;
    ASSERT_TRUE(both.client.handshake) << both.client.handshake.error().message;
    EXPECT_EQ(both.server.psk, "invitation-1");
    EXPECT_EQ(both.server.peer, "");
    EXPECT_EQ(both.server.exported, both.client.exported);
}

TEST_F(Tls, WrongSecretOrIdentityIsRefused) {
    for (const auto& client : {*tls_client_with_secret("join/1", "invitation-1", Bytes(32, 0x5b)),
                               *tls_client_with_secret("join/1", "invitation-2", secret)}) {
        const auto both = run(server_context(), client);
        EXPECT_FALSE(both.server.handshake);
        EXPECT_FALSE(both.client.handshake);
    }
}

TEST_F(Tls, ProtocolsDoNotLendEachOtherTheirKeys) {
    // A certificate is worth nothing where a secret is asked for, nor a secret where a key is.
    EXPECT_FALSE(run(server_context(), *tls_client(member, "join/1", only(root))).server.handshake);
    const auto both = run(server_context(), *tls_client_with_secret("control/1", "invitation-1", secret));
    EXPECT_FALSE(both.server.handshake);
    EXPECT_FALSE(both.client.handshake);
}

TEST_F(Tls, UnknownProtocolIsRefused) {
    EXPECT_FALSE(run(server_context(), *tls_client(member, "other/1", only(root))).server.handshake);
}

asio::awaitable<void> only_handshake(TlsStream& stream, TlsStream::Side side, Bytes received,
                                     Result<void>& result, std::chrono::milliseconds timeout = 100ms) {
    result = co_await stream.handshake(side, timeout, std::move(received));
}

TEST_F(Tls, SilentPeerIsDropped) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream stream(loop.get_executor(), std::move(sockets.first), server_context());
    Result<void> result;
    asio::co_spawn(loop, only_handshake(stream, TlsStream::Side::Server, {}, result), asio::detached);
    loop.run();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Unreachable);
}

TEST_F(Tls, RandomBytesAreRefused) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream stream(loop.get_executor(), std::move(sockets.first), server_context());
    Result<void> result;
    asio::co_spawn(loop, only_handshake(stream, TlsStream::Side::Server, Bytes(300, 0x16), result),
                   asio::detached);
    loop.run();
    EXPECT_FALSE(result);
}

void append(Bytes& out, std::initializer_list<unsigned> bytes) {
    for (const auto byte : bytes)
        out.push_back(static_cast<std::uint8_t>(byte));
}

void append_extension(Bytes& out, unsigned type, const Bytes& body) {
    append(out, {type >> 8, type & 255, static_cast<unsigned>(body.size() >> 8),
                 static_cast<unsigned>(body.size() & 255)});
    out.insert(out.end(), body.begin(), body.end());
}

Bytes hmac(const Bytes& key, const Bytes& data) {
    Bytes out(32);
    unsigned size = 32;
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), &size);
    return out;
}

// HKDF-Expand-Label of 32 bytes (RFC 8446 section 7.1).
Bytes expand_label(const Bytes& secret, const std::string& label, ByteView context) {
    const auto full = "tls13 " + label;
    Bytes info{0, 32, static_cast<std::uint8_t>(full.size())};
    info.insert(info.end(), full.begin(), full.end());
    info.push_back(static_cast<std::uint8_t>(context.size()));
    info.insert(info.end(), context.begin(), context.end());
    info.push_back(1);
    return hmac(secret, info);
}

// The binder of an external pre-shared key for a first hello (RFC 8446 section 4.2.11.2).
Bytes binder(const Bytes& secret, ByteView truncated_hello) {
    const auto binder_key = expand_label(hmac(Bytes(32, 0), secret), "ext binder", sha256({}));
    const auto hash = sha256(truncated_hello);
    return hmac(expand_label(binder_key, "finished", {}), Bytes(hash.begin(), hash.end()));
}

// A ClientHello (RFC 8446 section 4.1.2) in its record. Without a key share the server asks for one by a
// HelloRetryRequest.
Bytes client_hello(const std::string& alpn, bool key_share, const std::string& psk,
                   const Bytes& secret = Bytes(32, 0)) {
    Bytes extensions;
    append_extension(extensions, 43, {2, 3, 4});       // supported_versions: TLS 1.3
    append_extension(extensions, 10, {0, 2, 0, 0x1d}); // supported_groups: x25519
    append_extension(extensions, 13, {0, 2, 4, 3});    // signature_algorithms
    append_extension(extensions, 45, {1, 1});          // psk_key_exchange_modes: psk_dhe_ke
    Bytes share{0, 0};
    if (key_share) {
        share = {0, 36, 0, 0x1d, 0, 32};
        share.insert(share.end(), 32, 9);
    }
    append_extension(extensions, 51, share);
    Bytes names{0, static_cast<std::uint8_t>(alpn.size() + 1), static_cast<std::uint8_t>(alpn.size())};
    names.insert(names.end(), alpn.begin(), alpn.end());
    append_extension(extensions, 16, names);
    if (!psk.empty()) {
        Bytes keys{0, static_cast<std::uint8_t>(psk.size() + 6), 0, static_cast<std::uint8_t>(psk.size())};
        keys.insert(keys.end(), psk.begin(), psk.end());
        append(keys, {0, 0, 0, 0, 0, 33, 32});
        keys.insert(keys.end(), 32, 0);
        append_extension(extensions, 41, keys);
    }
    Bytes body{3, 3};
    body.insert(body.end(), 32, 7);            // random
    append(body, {0, 0, 2, 0x13, 0x01, 1, 0}); // no session, TLS_AES_128_GCM_SHA256, no compression
    append(body,
           {static_cast<unsigned>(extensions.size() >> 8), static_cast<unsigned>(extensions.size() & 255)});
    body.insert(body.end(), extensions.begin(), extensions.end());
    Bytes record{22,
                 3,
                 1,
                 static_cast<std::uint8_t>((body.size() + 4) >> 8),
                 static_cast<std::uint8_t>((body.size() + 4) & 255),
                 1,
                 0,
                 static_cast<std::uint8_t>(body.size() >> 8),
                 static_cast<std::uint8_t>(body.size() & 255)};
    record.insert(record.end(), body.begin(), body.end());
    if (!psk.empty()) {
        // The binders and their length are not part of what they sign; nor is the record's header.
        const auto proof = binder(secret, ByteView(record).subspan(5, record.size() - 5 - 35));
        std::ranges::copy(proof, record.end() - 32);
    }
    return record;
}

// What the server says to two hellos, one after the other.
struct TwoHellos {
    Result<void> handshake;
    Bytes answer;
};

TwoHellos say_two_hellos(const TlsContext& server, const Bytes& first, const Bytes& second) {
    asio::io_context loop;
    auto sockets = socket_pair();
    TwoHellos said;
    for (const auto& hello : {first, second})
        EXPECT_EQ(::send(sockets.second.get(), hello.data(), hello.size(), 0),
                  static_cast<ssize_t>(hello.size()));
    {
        TlsStream stream(loop.get_executor(), std::move(sockets.first), server);
        asio::co_spawn(loop, only_handshake(stream, TlsStream::Side::Server, {}, said.handshake),
                       asio::detached);
        loop.run();
    }
    Bytes buffer(4096);
    const auto size = ::recv(sockets.second.get(), buffer.data(), buffer.size(), 0);
    buffer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    said.answer = buffer;
    return said;
}

// The random value of a ServerHello that is a HelloRetryRequest (RFC 8446 section 4.1.3) begins so.
bool is_retry_request(const Bytes& answer) {
    constexpr std::array<std::uint8_t, 4> random{0xcf, 0x21, 0xad, 0x74};
    return answer.size() > 15 && std::equal(random.begin(), random.end(), answer.begin() + 11);
}

TEST_F(Tls, ASecondHelloKeepsToTheProtocolOfTheFirst) {
    for (const auto& [first, second] : {std::pair("join/1", "control/1"), std::pair("control/1", "join/1")}) {
        const auto said = say_two_hellos(server_context(), client_hello(first, false, "invitation-1", secret),
                                         client_hello(second, true, "invitation-1"));
        EXPECT_TRUE(is_retry_request(said.answer)) << first;
        ASSERT_FALSE(said.handshake) << first;
        EXPECT_EQ(said.handshake.error().code, ErrorCode::NotPermitted) << said.handshake.error().message;
    }
}

TEST_F(Tls, ASecondHelloOfTheSameProtocolIsTaken) {
    // The handshake goes as far as the client's certificate, which is not sent.
    const auto said = say_two_hellos(server_context(), client_hello("control/1", false, ""),
                                     client_hello("control/1", true, ""));
    EXPECT_TRUE(is_retry_request(said.answer));
    ASSERT_FALSE(said.handshake);
    EXPECT_EQ(said.handshake.error().code, ErrorCode::Unreachable) << said.handshake.error().message;
}

TEST_F(Tls, AnExceptionOfACheckRefusesThePeer) {
    const auto broken = [](std::string_view) -> bool { throw std::runtime_error("broken"); };
    const auto no_secret = [](std::string_view) -> std::optional<Bytes> {
        throw std::runtime_error("broken");
    };
    const auto server = *tls_server(root, {{"control/1", broken, {}}, {"join/1", {}, no_secret}});
    EXPECT_FALSE(run(server, *tls_client(member, "control/1", only(root))).server.handshake);
    EXPECT_FALSE(run(server, *tls_client_with_secret("join/1", "invitation-1", secret)).server.handshake);
}

asio::awaitable<void> read_all(TlsStream& stream, std::size_t wanted, std::size_t& got) {
    std::array<std::uint8_t, 4096> buffer{};
    while (got < wanted) {
        const auto size = co_await stream.read_some(buffer);
        if (!size) co_return;
        got += *size;
    }
}

asio::awaitable<void> write_all(TlsStream& stream, const Bytes& data, bool& done) {
    const auto written = co_await stream.write(data);
    done = written.has_value();
}

// More than the socket takes at once, in both directions at the same time.
TEST_F(Tls, MuchGoesBothWaysAtOnce) {
    asio::io_context loop;
    TlsPair pair(loop);
    const Bytes much(3 << 20, 7);
    std::size_t to_client = 0, to_server = 0;
    bool server_done = false, client_done = false;
    asio::co_spawn(loop, write_all(pair.server, much, server_done), test::rethrow);
    asio::co_spawn(loop, write_all(pair.client, much, client_done), test::rethrow);
    asio::co_spawn(loop, read_all(pair.server, much.size(), to_server), test::rethrow);
    asio::co_spawn(loop, read_all(pair.client, much.size(), to_client), test::rethrow);
    loop.run();
    EXPECT_TRUE(server_done && client_done);
    EXPECT_EQ(to_client, much.size());
    EXPECT_EQ(to_server, much.size());
}

TEST_F(Tls, TheEndOfTheOtherSideIsNoFault) {
    asio::io_context loop;
    TlsPair pair(loop);
    Result<std::size_t> read = 0U;
    std::array<std::uint8_t, 16> buffer{};
    const auto reading = [&]() -> asio::awaitable<void> { read = co_await pair.server.read_some(buffer); };
    asio::co_spawn(loop, reading(), test::rethrow);
    pair.client.close();
    loop.run();
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::Unreachable);
    EXPECT_EQ(read.error().message, "the peer closed the connection");
}

// OpenSSL takes them in without returning.
TEST_F(Tls, APeerThatSendsNothingButNewKeysIsCutOff) {
    std::signal(SIGPIPE, SIG_IGN);
    asio::io_context loop;
    auto sockets = socket_pair();
    TlsStream server(loop.get_executor(), std::move(sockets.first), server_context());
    std::thread peer([&] {
        const std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>> context(SSL_CTX_new(TLS_client_method()));
        const std::unique_ptr<SSL, OpenSslFree<SSL_free>> ssl(SSL_new(context.get()));
        const std::string protocol = std::string(1, 9) + "control/1";
        SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocol.data()),
                            static_cast<unsigned>(protocol.size()));
        SSL_use_certificate(ssl.get(), member.certificate());
        SSL_use_PrivateKey(ssl.get(), member.key());
        SSL_set_fd(ssl.get(), sockets.second.get());
        EXPECT_EQ(SSL_connect(ssl.get()), 1);
        const auto new_keys = [&](int times) {
            for (int i = 0; i < times; ++i)
                if (SSL_key_update(ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1 ||
                    SSL_do_handshake(ssl.get()) != 1)
                    return;
        };
        for (int i = 0; i < 3; ++i) {
            new_keys(20);
            EXPECT_EQ(SSL_write(ssl.get(), "some", 4), 4);
        }
        new_keys(1000);
    });
    std::size_t got = 0;
    Result<std::size_t> last = 0U;
    const auto serve = [&]() -> asio::awaitable<void> {
        const auto secured = co_await server.handshake(TlsStream::Side::Server, 20s);
        EXPECT_TRUE(secured);
        std::array<std::uint8_t, 64> buffer{};
        while (secured && last) {
            got += *last;
            last = co_await server.read_some(buffer);
        }
        server.close();
    };
    asio::co_spawn(loop, serve(), test::rethrow);
    loop.run();
    peer.join();
    EXPECT_EQ(got, 12U);
    ASSERT_FALSE(last);
    EXPECT_EQ(last.error().code, ErrorCode::NotPermitted) << last.error().message;
}

// A root holds one to each member.
TEST_F(Tls, AConnectionAtRestTakesLittleMemory) {
    asio::io_context loop;
    const auto talk = [&](TlsPair& pair) {
        const Bytes some(40'000, 7);
        std::size_t got = 0;
        bool done = false;
        asio::co_spawn(loop, write_all(pair.server, some, done), test::rethrow);
        asio::co_spawn(loop, read_all(pair.client, some.size(), got), test::rethrow);
        loop.run();
        loop.restart();
        EXPECT_TRUE(done);
    };
    std::vector<std::unique_ptr<TlsPair>> pairs;
    const auto used = [] { return mallinfo2().uordblks; };
    for (int i = 0; i < 4; ++i)
        talk(*pairs.emplace_back(std::make_unique<TlsPair>(loop)));
    const auto before = used();
    for (int i = 0; i < 32; ++i)
        talk(*pairs.emplace_back(std::make_unique<TlsPair>(loop)));
    // Of both ends, with the settings that each has here for itself.
    EXPECT_LT((used() - before) / 32, 100U << 10);
}

} // namespace
} // namespace p2prc::net
