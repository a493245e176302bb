#include "net/proxy_protocol.h"

#include <algorithm>
#include <array>

namespace p2prc::net {
namespace {

constexpr std::array<std::uint8_t, 12> signature{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
constexpr std::uint8_t version = 0x20;
constexpr std::uint8_t family_unspecified = 0x00, family_v4 = 0x10, family_v6 = 0x20, family_unix = 0x30;
constexpr std::uint8_t transport_stream = 0x01, transport_datagram = 0x02;
constexpr std::size_t addresses_v4 = 12, addresses_v6 = 36, addresses_unix = 216;

std::unexpected<Error> bad(const char* what) {
    return fail(ErrorCode::InvalidSpec, std::string("PROXY header: ") + what);
}

void put16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
}

std::size_t get16(ByteView bytes, std::size_t at) {
    return bytes[at] * 256U + bytes[at + 1];
}

void put_address(Bytes& out, const Address& address, bool v6) {
    const auto& bytes = address.bytes();
    if (!v6) {
        out.insert(out.end(), bytes.begin(), bytes.begin() + 4);
    } else if (address.is_v6()) {
        out.insert(out.end(), bytes.begin(), bytes.end());
    } else {
        out.insert(out.end(), 10, 0x00);
        out.insert(out.end(), 2, 0xff);
        out.insert(out.end(), bytes.begin(), bytes.begin() + 4);
    }
}

Address get_address(ByteView bytes, std::size_t at, bool v6) {
    std::array<std::uint8_t, 16> raw{};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), v6 ? 16 : 4, raw.begin());
    return v6 ? Address::v6(raw) : Address::v4({raw[0], raw[1], raw[2], raw[3]});
}

Result<std::vector<ProxyTlv>> decode_tlvs(ByteView bytes) {
    std::vector<ProxyTlv> tlvs;
    while (!bytes.empty()) {
        if (bytes.size() < 3) return bad("a TLV is cut short");
        const auto size = get16(bytes, 1);
        if (size > bytes.size() - 3) return bad("a TLV is longer than the header");
        const auto value = bytes.subspan(3, size);
        if (bytes[0] != proxy_tlv_noop) tlvs.push_back({bytes[0], Bytes(value.begin(), value.end())});
        bytes = bytes.subspan(3 + size);
    }
    return tlvs;
}

} // namespace

const ProxyTlv* ProxyHeader::find(std::uint8_t type) const noexcept {
    const auto found = std::ranges::find(tlvs, type, &ProxyTlv::type);
    return found == tlvs.end() ? nullptr : &*found;
}

Result<Bytes> encode_proxy_header(const ProxyHeader& header) {
    if (header.source.has_value() != header.destination.has_value())
        return bad("source and destination go together");
    Bytes out(signature.begin(), signature.end());
    out.push_back(version | (header.command == ProxyHeader::Command::Proxy ? 1 : 0));
    const bool addresses = header.source.has_value();
    const bool v6 = addresses && (header.source->address.is_v6() || header.destination->address.is_v6());
    const auto transport = header.datagram ? transport_datagram : transport_stream;
    const auto family = v6 ? family_v6 : family_v4;
    out.push_back(addresses ? static_cast<std::uint8_t>(family | transport) : family_unspecified);
    put16(out, 0);
    if (addresses) {
        put_address(out, header.source->address, v6);
        put_address(out, header.destination->address, v6);
        put16(out, header.source->port);
        put16(out, header.destination->port);
    }
    for (const auto& tlv : header.tlvs) {
        if (tlv.value.size() > proxy_max_size) return bad("a TLV is too long");
        out.push_back(tlv.type);
        put16(out, tlv.value.size());
        out.insert(out.end(), tlv.value.begin(), tlv.value.end());
    }
    if (out.size() > proxy_max_size) return bad("too long");
    const auto length = out.size() - proxy_fixed_size;
    out[14] = static_cast<std::uint8_t>(length >> 8);
    out[15] = static_cast<std::uint8_t>(length);
    return out;
}

Result<std::optional<std::size_t>> proxy_header_size(ByteView bytes) {
    const auto known = std::min(bytes.size(), signature.size());
    if (!std::equal(signature.begin(), signature.begin() + static_cast<std::ptrdiff_t>(known), bytes.begin()))
        return bad("not version 2");
    if (bytes.size() < proxy_fixed_size) return std::optional<std::size_t>();
    const auto size = proxy_fixed_size + get16(bytes, 14);
    if (size > proxy_max_size) return bad("too long");
    return std::optional(size);
}

Result<ProxyHeader> decode_proxy_header(ByteView bytes) {
    const auto size = proxy_header_size(bytes);
    if (!size) return std::unexpected(size.error());
    if (!*size || **size != bytes.size()) return bad("not of the length it states");
    if ((bytes[12] & 0xf0) != version) return bad("not version 2");
    const auto command = bytes[12] & 0x0f;
    if (command > 1) return bad("unknown command");

    ProxyHeader header;
    header.command = command == 0 ? ProxyHeader::Command::Local : ProxyHeader::Command::Proxy;
    const auto family = bytes[13] & 0xf0;
    const auto transport = bytes[13] & 0x0f;
    if (family > family_unix || transport > transport_datagram) return bad("unknown family or transport");
    header.datagram = transport == transport_datagram;

    const auto rest = bytes.subspan(proxy_fixed_size);
    const auto used = family == family_v4     ? addresses_v4
                      : family == family_v6   ? addresses_v6
                      : family == family_unix ? addresses_unix
                                              : 0;
    if (rest.size() < used) return bad("the addresses are cut short");
    if ((family == family_v4 || family == family_v6) && header.command == ProxyHeader::Command::Proxy) {
        const bool v6 = family == family_v6;
        const std::size_t width = v6 ? 16 : 4;
        header.source =
            Endpoint{get_address(rest, 0, v6), static_cast<std::uint16_t>(get16(rest, 2 * width))};
        header.destination =
            Endpoint{get_address(rest, width, v6), static_cast<std::uint16_t>(get16(rest, 2 * width + 2))};
    }
    auto tlvs = decode_tlvs(rest.subspan(used));
    // A receiver skips what stands where the addresses of no family would: TLVs of most senders, anything of
    // others.
    if (!tlvs && family == family_unspecified) return header;
    if (!tlvs) return std::unexpected(tlvs.error());
    header.tlvs = std::move(*tlvs);
    return header;
}

} // namespace p2prc::net
