#include "link/token.h"

#include "core/names.h"

#include <algorithm>

namespace p2prc::link {
namespace {

constexpr std::string_view family = "p2prc";
constexpr std::string_view prefix = "p2prc1_";
constexpr std::size_t checksum_size = 4;
constexpr std::size_t max_addresses = 16;

void put(Bytes& out, ByteView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

void put_text(Bytes& out, std::string_view text) {
    out.push_back(static_cast<std::uint8_t>(text.size()));
    put(out, as_bytes(text));
}

// Takes from the front; empty results once something did not fit.
class Taker {
  public:
    explicit Taker(ByteView bytes) : rest_(bytes) {}
    ByteView take(std::size_t size) {
        if (size > rest_.size()) {
            broken_ = true;
            rest_ = {};
            return {};
        }
        const auto taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }
    std::uint64_t number(std::size_t size) {
        std::uint64_t value = 0;
        for (const auto byte : take(size))
            value = value << 8 | byte;
        return value;
    }
    std::size_t length() { return static_cast<std::size_t>(number(1)); }
    std::string text() {
        const auto bytes = take(length());
        return {bytes.begin(), bytes.end()};
    }
    bool done() const { return !broken_ && rest_.empty(); }

  private:
    ByteView rest_;
    bool broken_ = false;
};

std::string_view trim(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

} // namespace

Result<std::string> encode_token(const JoinToken& token) {
    const auto key = from_hex(token.root_key);
    if (token.addresses.empty() || token.addresses.size() > max_addresses || token.zone.size() > 255 ||
        token.id.empty() || token.id.size() > 255 || !key || key->size() != 32)
        return fail(ErrorCode::Failed, "an invitation needs the root's address and key");
    Bytes out{static_cast<std::uint8_t>(token.addresses.size())};
    for (const auto& endpoint : token.addresses) {
        const std::size_t size = endpoint.address.is_v4() ? 4 : 16;
        out.push_back(static_cast<std::uint8_t>(size));
        put(out, ByteView(endpoint.address.bytes()).first(size));
        out.push_back(static_cast<std::uint8_t>(endpoint.port >> 8));
        out.push_back(static_cast<std::uint8_t>(endpoint.port));
    }
    put_text(out, token.zone);
    put(out, *key);
    put_text(out, token.id);
    put(out, token.secret);
    for (int shift = 56; shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(token.expires) >> shift));
    const auto digest = sha256(out);
    put(out, ByteView(digest).first(checksum_size));
    return std::string(prefix) + to_base64url(out);
}

Result<JoinToken> decode_token(std::string_view text) {
    text = trim(text);
    if (!text.starts_with(prefix)) {
        if (text.starts_with(family) && text.find('_') != std::string_view::npos)
            return fail(ErrorCode::InvalidSpec, "this token is of another version of p2prc",
                        "install the same version as on the root, or ask for a new token there");
        return fail(ErrorCode::InvalidSpec, "this is not a join token",
                    "a token begins with p2prc1_; p2prc invite prints one");
    }
    const auto damaged = [] {
        return fail(ErrorCode::InvalidSpec, "the token is damaged: a part of it is missing or changed",
                    "copy it again, whole, from the output of p2prc invite");
    };
    const auto bytes = from_base64url(text.substr(prefix.size()));
    if (!bytes || bytes->size() <= checksum_size) return damaged();
    const auto body = ByteView(*bytes).first(bytes->size() - checksum_size);
    const auto digest = sha256(body);
    if (!std::equal(digest.begin(), digest.begin() + checksum_size, bytes->end() - checksum_size))
        return damaged();

    JoinToken token;
    Taker taker(body);
    const auto count = taker.number(1);
    for (std::uint64_t i = 0; i < count && i < max_addresses; ++i) {
        const auto size = taker.length();
        const auto raw = taker.take(size);
        const auto port = static_cast<std::uint16_t>(taker.number(2));
        std::array<std::uint8_t, 16> address{};
        if ((size != 4 && size != 16) || raw.size() != size) return damaged();
        std::ranges::copy(raw, address.begin());
        token.addresses.push_back({size == 4
                                       ? net::Address::v4({address[0], address[1], address[2], address[3]})
                                       : net::Address::v6(address),
                                   port});
    }
    token.zone = taker.text();
    token.root_key = to_hex(taker.take(32));
    token.id = taker.text();
    const auto secret = taker.take(token.secret.size());
    std::ranges::copy(secret, token.secret.begin());
    token.expires = static_cast<std::int64_t>(taker.number(8));
    if (!taker.done() || token.addresses.empty() || token.id.empty()) return damaged();
    // It is kept and shown: what no root writes there is not taken.
    const auto zone = token.zone.empty() ? Result<std::string>(std::string()) : normalize_domain(token.zone);
    if (!zone || *zone != token.zone) return damaged();
    return token;
}

} // namespace p2prc::link
