#include "tunnel/preface.h"
#include "tunnel/seal.h"

#include <gtest/gtest.h>

using namespace p2prc;
using namespace p2prc::tunnel;

namespace {

Bytes whole(const FlowId& flow) {
    const auto claim = encode_claim(flow);
    Bytes out(claim.begin(), claim.end());
    out.resize(preface_size);
    return out;
}

TEST(Preface, LaysItsClaimOutAsDocumented) {
    EXPECT_EQ(to_hex(encode_claim({0x0102030405060708, 0x1112131415161718})), "50325046"
                                                                              "01000000"
                                                                              "0102030405060708"
                                                                              "1112131415161718");
}

TEST(Preface, ReadsWhatItWrote) {
    const FlowId flow{0xfedcba9876543210, 42};
    EXPECT_EQ(parse_preface(whole(flow)), flow);
}

TEST(Preface, RefusesOtherMagicVersionSizeAndReservedBytes) {
    const Bytes good = whole({1, 2});
    for (const std::size_t at : {0, 3, 4, 5, 7}) {
        Bytes bad = good;
        bad[at] ^= 1;
        EXPECT_FALSE(parse_preface(bad)) << at;
    }
    EXPECT_FALSE(parse_preface(ByteView(good).first(preface_size - 1)));
    Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(parse_preface(longer));
    EXPECT_FALSE(parse_preface({}));
}

} // namespace
