// Reads a TLS client's first flight, record by record, to find the server name that it asks for.
//
// Nothing is decrypted, changed or copied: the caller keeps the bytes and forwards them unchanged.
#pragma once

#include "core/encoding.h"

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge {

// Why a first flight is refused; each has its own counter.
enum class HelloRefusal {
    NotTls,       // the first bytes are not a TLS handshake record
    LegacyHello,  // an SSLv2-compatible hello: carries no name
    BadRecord,    // record of another type, of length zero or above 2^14, between the parts of the hello
    TooLarge,     // more than 64 KiB of handshake, or more than 64 records
    NotHello,     // a handshake message, but not a ClientHello
    Malformed,    // lengths inside the hello contradict each other
    DuplicateSni, // two server_name extensions, or two names in one
    BadName,      // NUL, an IP literal, an empty or long label, a name above 253 octets
    BadAlpn,      // two ALPN extensions, an empty list or an empty protocol
};
inline constexpr std::size_t hello_refusal_count = 9;
std::string_view hello_refusal_name(HelloRefusal refusal) noexcept;

struct ClientHello {
    std::string name;              // lower case, without a trailing dot; empty: the client named none
    std::vector<std::string> alpn; // in the client's order

    // Whether `protocol` is the one and only protocol offered.
    bool sole_alpn(std::string_view protocol) const noexcept {
        return alpn.size() == 1 && alpn.front() == protocol;
    }
};

// An incremental reader for one connection. It keeps only offsets and reads each byte once, even if the hello
// arrives byte by byte.
class ClientHelloReader {
  public:
    enum class Status { NeedMore, Refused, Ready };

    // Handshake bytes, and records, that one hello may take.
    static constexpr std::size_t max_handshake = 64 * 1024;
    static constexpr std::size_t max_records = 64;
    // The most that the caller may have to buffer before Ready or Refused.
    static constexpr std::size_t max_bytes = max_handshake + max_records * 5;

    // `received` is all that the connection has sent, from its first byte; each call passes the same bytes
    // and more.
    Status read(ByteView received);

    // After Ready.
    const ClientHello& hello() const noexcept { return hello_; }
    ClientHello take_hello() noexcept { return std::move(hello_); }
    // Bytes of `received` that the hello's records take; what follows is early data.
    std::size_t consumed() const noexcept { return record_; }
    // After Refused.
    HelloRefusal refusal() const noexcept { return refusal_; }

  private:
    Status refuse(HelloRefusal refusal) noexcept;
    Status finish(ByteView received);

    std::size_t record_ = 0;    // offset of the first record not yet complete
    std::size_t records_ = 0;   // complete ones before it
    std::size_t handshake_ = 0; // handshake bytes in complete records
    std::size_t header_ = 0;    // how many of the message header's four bytes are known
    std::size_t message_ = 0;   // length of the hello with its header, once header_ is 4
    HelloRefusal refusal_ = HelloRefusal::NotTls;
    ClientHello hello_;
};

// Parses the body of one ClientHello message (RFC 8446 section 4.1.2), without its 4-byte header.
std::expected<ClientHello, HelloRefusal> parse_client_hello(ByteView body);

} // namespace p2prc::edge
