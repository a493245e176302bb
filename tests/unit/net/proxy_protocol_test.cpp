#include "net/proxy_protocol.h"

#include <gtest/gtest.h>

namespace p2prc::net {
namespace {

ProxyHeader example(const char* source, const char* destination) {
    ProxyHeader header;
    header.source = *Endpoint::parse(source);
    header.destination = *Endpoint::parse(destination);
    header.tlvs = {{proxy_tlv_alpn, {'h', '2'}}, {0xe0, {}}};
    return header;
}

TEST(ProxyProtocol, IsTheBytesOfTheSpecification) {
    auto header = example("203.0.113.9:50000", "198.51.100.1:443");
    header.tlvs.clear();
    const Bytes expected{0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11,
                         0x00, 0x0c, 203,  0,    113,  9,    198,  51,   100,  1,    0xc3, 0x50, 0x01, 0xbb};
    EXPECT_EQ(encode_proxy_header(header), expected);
}

TEST(ProxyProtocol, RoundTrips) {
    ProxyHeader local;
    local.command = ProxyHeader::Command::Local;
    ProxyHeader no_address;
    no_address.tlvs = {{0xe1, {1, 2, 3}}};
    for (const auto& header : {example("203.0.113.9:50000", "198.51.100.1:443"),
                               example("[2001:db8::9]:50000", "[2001:db8::1]:443"), local, no_address}) {
        const auto bytes = encode_proxy_header(header);
        ASSERT_TRUE(bytes);
        EXPECT_EQ(**proxy_header_size(*bytes), bytes->size());
        EXPECT_EQ(decode_proxy_header(*bytes), header);
    }
}

TEST(ProxyProtocol, MixedFamiliesAreMapped) {
    const auto header = example("203.0.113.9:50000", "[2001:db8::1]:443");
    EXPECT_EQ(decode_proxy_header(*encode_proxy_header(header)), header);
}

TEST(ProxyProtocol, EveryCutIsIncompleteOrRefused) {
    const auto bytes = *encode_proxy_header(example("203.0.113.9:50000", "198.51.100.1:443"));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const ByteView cut(bytes.data(), size);
        EXPECT_EQ(proxy_header_size(cut)->has_value(), size >= proxy_fixed_size);
        EXPECT_FALSE(decode_proxy_header(cut)) << size;
    }
}

TEST(ProxyProtocol, RefusesWhatLies) {
    const auto good = *encode_proxy_header(example("203.0.113.9:50000", "198.51.100.1:443"));
    const auto with = [&](std::size_t at, std::uint8_t value) {
        auto bytes = good;
        bytes[at] = value;
        return decode_proxy_header(bytes);
    };
    EXPECT_FALSE(with(0, 0x0e));          // signature
    EXPECT_FALSE(with(12, 0x11));         // version 1
    EXPECT_FALSE(with(12, 0x22));         // command 2
    EXPECT_FALSE(with(13, 0x41));         // family 4
    EXPECT_FALSE(with(13, 0x13));         // transport 3
    EXPECT_FALSE(with(13, 0x21));         // IPv6 addresses do not fit
    EXPECT_FALSE(with(15, good[15] + 1)); // length
    EXPECT_FALSE(with(28 + 2, 0xff));     // length of the first TLV
    EXPECT_FALSE(proxy_header_size(as_bytes("GET / HTTP/1.1\r\n")));
    auto huge = good;
    huge[14] = 0xff;
    EXPECT_FALSE(proxy_header_size(huge));
}

} // namespace
} // namespace p2prc::net
