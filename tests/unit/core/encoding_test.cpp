#include "core/encoding.h"

#include <gtest/gtest.h>

namespace p2prc {
namespace {

// RFC 4648 section 10, without padding.
TEST(Base64Url, TestVectors) {
    EXPECT_EQ(to_base64url(as_bytes("")), "");
    EXPECT_EQ(to_base64url(as_bytes("f")), "Zg");
    EXPECT_EQ(to_base64url(as_bytes("fo")), "Zm8");
    EXPECT_EQ(to_base64url(as_bytes("foo")), "Zm9v");
    EXPECT_EQ(to_base64url(as_bytes("foob")), "Zm9vYg");
    EXPECT_EQ(to_base64url(as_bytes("foobar")), "Zm9vYmFy");
}

TEST(Base64Url, RoundTripsEveryLength) {
    Bytes bytes;
    for (int i = 0; i < 70; ++i) {
        EXPECT_EQ(from_base64url(to_base64url(bytes)), bytes);
        bytes.push_back(static_cast<std::uint8_t>(i * 37 + 200));
    }
}

TEST(Base64Url, RefusesWhatIsNotCanonical) {
    EXPECT_FALSE(from_base64url("A"));
    EXPECT_FALSE(from_base64url("Zg=="));
    EXPECT_FALSE(from_base64url("Zm+v"));
    EXPECT_FALSE(from_base64url("Zh")); // leftover bits
}

TEST(Hex, RoundTripsAndRefuses) {
    EXPECT_EQ(to_hex(*from_hex("00ffA0")), "00ffa0");
    EXPECT_FALSE(from_hex("0"));
    EXPECT_FALSE(from_hex("0g"));
}

// FIPS 180-4, the message "abc".
TEST(Sha256, TestVector) {
    EXPECT_EQ(to_hex(sha256(as_bytes("abc"))),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

} // namespace
} // namespace p2prc
