#include "edge/sni/client_hello.h"

#include "edge/sni/server_name.h"

#include <algorithm>
#include <array>
#include <utility>

namespace p2prc::edge {
namespace {

constexpr std::uint8_t record_handshake = 22;    // RFC 8446 section 5.1
constexpr std::uint8_t message_client_hello = 1; // RFC 8446 section 4
constexpr std::size_t record_header = 5;
constexpr std::size_t message_header = 4;
constexpr std::size_t max_fragment = 1 << 14;      // RFC 8446 section 5.1
constexpr std::uint16_t extension_server_name = 0; // RFC 6066 section 3
constexpr std::uint16_t extension_alpn = 16;       // RFC 7301 section 3.1

// A view that is read from the front. A read past the end marks it broken and returns nothing.
class Cursor {
  public:
    explicit Cursor(ByteView bytes) noexcept : bytes_(bytes) {}

    bool broken() const noexcept { return broken_; }
    bool empty() const noexcept { return bytes_.empty(); }

    ByteView take(std::size_t count) noexcept {
        if (count > bytes_.size()) {
            broken_ = true;
            bytes_ = {};
            return {};
        }
        const auto front = bytes_.first(count);
        bytes_ = bytes_.subspan(count);
        return front;
    }
    std::size_t number(std::size_t width) noexcept {
        std::size_t value = 0;
        for (const auto byte : take(width))
            value = value << 8 | byte;
        return value;
    }
    // A vector of RFC 8446 section 3.4: a length of `width` bytes, then as many bytes.
    ByteView vector(std::size_t width) noexcept { return take(number(width)); }

  private:
    ByteView bytes_;
    bool broken_ = false;
};

std::expected<std::string, HelloRefusal> read_server_name(ByteView extension) {
    Cursor outer(extension);
    Cursor list(outer.vector(2));
    if (outer.broken() || !outer.empty() || list.empty()) return std::unexpected(HelloRefusal::Malformed);
    const auto type = list.number(1);
    const auto name = list.vector(2);
    if (list.broken()) return std::unexpected(HelloRefusal::Malformed);
    // RFC 6066 section 3: one name of a type at most, and host_name is the only type there is.
    if (!list.empty()) return std::unexpected(HelloRefusal::DuplicateSni);
    if (type != 0) return std::unexpected(HelloRefusal::BadName);
    auto normalised = normalize_server_name({reinterpret_cast<const char*>(name.data()), name.size()});
    if (!normalised) return std::unexpected(HelloRefusal::BadName);
    return std::move(*normalised);
}

std::expected<std::vector<std::string>, HelloRefusal> read_alpn(ByteView extension) {
    Cursor outer(extension);
    Cursor list(outer.vector(2));
    if (outer.broken() || !outer.empty()) return std::unexpected(HelloRefusal::Malformed);
    if (list.empty()) return std::unexpected(HelloRefusal::BadAlpn);
    std::vector<std::string> protocols;
    while (!list.empty()) {
        const auto protocol = list.vector(1);
        if (list.broken()) return std::unexpected(HelloRefusal::Malformed);
        if (protocol.empty()) return std::unexpected(HelloRefusal::BadAlpn);
        protocols.emplace_back(reinterpret_cast<const char*>(protocol.data()), protocol.size());
    }
    return protocols;
}

} // namespace

std::string_view hello_refusal_name(HelloRefusal refusal) noexcept {
    static constexpr std::array<std::string_view, hello_refusal_count> names{
        "not-tls",   "legacy-hello",  "bad-record", "too-large", "not-hello",
        "malformed", "duplicate-sni", "bad-name",   "bad-alpn"};
    return names[static_cast<std::size_t>(refusal)];
}

std::expected<ClientHello, HelloRefusal> parse_client_hello(ByteView body) {
    Cursor cursor(body);
    const auto version = cursor.number(2);
    cursor.take(32); // random
    const auto session = cursor.vector(1);
    const auto ciphers = cursor.vector(2);
    const auto compressions = cursor.vector(1);
    if (cursor.broken() || version >> 8 != 3 || session.size() > 32 || ciphers.empty() ||
        ciphers.size() % 2 != 0 || compressions.empty())
        return std::unexpected(HelloRefusal::Malformed);

    ClientHello hello;
    // RFC 5246 section 7.4.1.2: a hello without extensions ends here.
    if (cursor.empty()) return hello;
    Cursor extensions(cursor.vector(2));
    if (cursor.broken() || !cursor.empty()) return std::unexpected(HelloRefusal::Malformed);
    bool have_name = false, have_alpn = false;
    while (!extensions.empty()) {
        const auto type = extensions.number(2);
        const auto content = extensions.vector(2);
        if (extensions.broken()) return std::unexpected(HelloRefusal::Malformed);
        // Everything else, including GREASE (RFC 8701) and encrypted hellos, is for the server to interpret.
        if (type == extension_server_name) {
            if (std::exchange(have_name, true)) return std::unexpected(HelloRefusal::DuplicateSni);
            auto name = read_server_name(content);
            if (!name) return std::unexpected(name.error());
            hello.name = std::move(*name);
        } else if (type == extension_alpn) {
            if (std::exchange(have_alpn, true)) return std::unexpected(HelloRefusal::BadAlpn);
            auto protocols = read_alpn(content);
            if (!protocols) return std::unexpected(protocols.error());
            hello.alpn = std::move(*protocols);
        }
    }
    return hello;
}

ClientHelloReader::Status ClientHelloReader::refuse(HelloRefusal refusal) noexcept {
    refusal_ = refusal;
    return Status::Refused;
}

ClientHelloReader::Status ClientHelloReader::read(ByteView received) {
    if (record_ == 0 && !received.empty() && received[0] != record_handshake) {
        // RFC 5246 appendix E.2: two bytes of length with the top bit set, then message type 1.
        if (received[0] < 0x80) return refuse(HelloRefusal::NotTls);
        if (received.size() < 3) return Status::NeedMore;
        return refuse(received[2] == message_client_hello ? HelloRefusal::LegacyHello : HelloRefusal::NotTls);
    }
    for (;;) {
        const auto rest = received.subspan(record_);
        if (!rest.empty() && rest[0] != record_handshake) return refuse(HelloRefusal::BadRecord);
        if (rest.size() > 1 && rest[1] != 3)
            return refuse(record_ == 0 ? HelloRefusal::NotTls : HelloRefusal::BadRecord);
        if (rest.size() < record_header) return Status::NeedMore;
        const std::size_t length = std::size_t{rest[3]} << 8 | rest[4];
        if (length == 0 || length > max_fragment) return refuse(HelloRefusal::BadRecord);

        // The message's header may be split over records; each of its bytes is checked as soon as it arrives.
        const auto fragment = rest.subspan(record_header, std::min(length, rest.size() - record_header));
        while (header_ < message_header && header_ - handshake_ < fragment.size()) {
            const auto byte = fragment[header_ - handshake_];
            if (header_ == 0 && byte != message_client_hello) return refuse(HelloRefusal::NotHello);
            if (header_ > 0) message_ = message_ << 8 | byte;
            if (++header_ == message_header) {
                message_ += message_header;
                if (message_ > max_handshake) return refuse(HelloRefusal::TooLarge);
            }
        }
        // A client must not send more before the server has answered.
        if (header_ == message_header && handshake_ + length > message_)
            return refuse(HelloRefusal::Malformed);
        if (fragment.size() < length) return Status::NeedMore;
        record_ += record_header + length;
        handshake_ += length;
        ++records_;
        if (header_ == message_header && handshake_ == message_) return finish(received);
        if (records_ == max_records) return refuse(HelloRefusal::TooLarge);
    }
}

ClientHelloReader::Status ClientHelloReader::finish(ByteView received) {
    Bytes joined;
    ByteView message = received.subspan(record_header, record_ - record_header);
    if (records_ > 1) {
        joined.reserve(message_);
        for (std::size_t offset = 0; offset < record_;) {
            const std::size_t length = std::size_t{received[offset + 3]} << 8 | received[offset + 4];
            const auto fragment = received.subspan(offset + record_header, length);
            joined.insert(joined.end(), fragment.begin(), fragment.end());
            offset += record_header + length;
        }
        message = joined;
    }
    auto hello = parse_client_hello(message.subspan(message_header));
    if (!hello) return refuse(hello.error());
    hello_ = std::move(*hello);
    return Status::Ready;
}

} // namespace p2prc::edge
