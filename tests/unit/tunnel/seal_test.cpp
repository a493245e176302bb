#include "tunnel/seal.h"

#include <gtest/gtest.h>

#include <set>

using namespace p2prc;
using namespace p2prc::tunnel;

namespace {

Bytes material(std::uint8_t first) {
    Bytes out(exporter_size);
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::uint8_t>(first + i);
    return out;
}

class SealTest : public testing::Test {
  protected:
    FlowSeals edge{material(1)};
    FlowSeals connector{material(1)};
    FlowSeals stranger{material(2)};
    FlowId flow{77, 3};
    Bytes header{1, 2, 3, 4, 5};
};

TEST_F(SealTest, VerifiesThePrefaceOfItsSession) {
    const auto preface = connector.seal_preface(flow);
    EXPECT_EQ(parse_preface(preface), flow);
    EXPECT_TRUE(edge.verify_preface(flow, preface));
    EXPECT_FALSE(stranger.verify_preface(flow, preface));
    EXPECT_FALSE(edge.verify_preface({77, 4}, preface));
    EXPECT_FALSE(edge.verify_preface({78, 3}, preface));
}

TEST_F(SealTest, RefusesAPrefaceWithAnyBitOfTheMacTurned) {
    const auto good = connector.seal_preface(flow);
    for (std::size_t bit = preface_claim_size * 8; bit < preface_size * 8; ++bit) {
        auto bad = good;
        bad[bit / 8] ^= static_cast<std::uint8_t>(1 << bit % 8);
        EXPECT_FALSE(edge.verify_preface(flow, bad)) << bit;
    }
}

TEST_F(SealTest, CarriesAHeader) {
    const Bytes frame = edge.seal_header(flow, header);
    ASSERT_EQ(frame.size(), 2 + header.size() + seal_overhead);
    EXPECT_EQ(frame[0] << 8 | frame[1], static_cast<int>(frame.size() - 2));
    const auto opened = connector.open_header(flow, ByteView(frame).subspan(2));
    ASSERT_TRUE(opened);
    EXPECT_EQ(*opened, header);
}

TEST_F(SealTest, RefusesAForgedHeader) {
    const Bytes frame = edge.seal_header(flow, header);
    for (std::size_t at = 2; at < frame.size(); ++at) {
        Bytes bad = frame;
        bad[at] ^= 0x40;
        EXPECT_FALSE(connector.open_header(flow, ByteView(bad).subspan(2))) << at;
    }
    EXPECT_FALSE(connector.open_header(flow, {}));
    EXPECT_FALSE(connector.open_header({77, 4}, ByteView(frame).subspan(2)));
    EXPECT_FALSE(connector.open_header({76, 3}, ByteView(frame).subspan(2)));
    EXPECT_FALSE(stranger.open_header(flow, ByteView(frame).subspan(2)));
}

TEST_F(SealTest, CarriesEveryAnswer) {
    for (std::uint8_t code = 0; code <= static_cast<std::uint8_t>(Answer::Overloaded); ++code) {
        const auto sealed = connector.seal_answer({77, code}, static_cast<Answer>(code));
        EXPECT_EQ(edge.open_answer({77, code}, sealed), static_cast<Answer>(code));
        EXPECT_FALSE(answer_text(static_cast<Answer>(code)).empty());
    }
}

TEST_F(SealTest, NeverTakesOneDirectionForTheOther) {
    const Bytes text(answer_size);
    const Bytes frame = edge.seal_header(flow, text);
    EXPECT_FALSE(edge.open_answer(flow, ByteView(frame).subspan(2)));
    const auto answer = connector.seal_answer(flow, Answer::Accepted);
    EXPECT_FALSE(connector.open_header(flow, answer));
}

TEST_F(SealTest, RefusesWrongMaterial) {
    EXPECT_THROW(FlowSeals(Bytes(exporter_size - 1)), std::invalid_argument);
}

TEST(Answer, ReadsLaterCodesAsNotSupported) {
    const std::array<std::uint8_t, 4> later{200, 0, 0, 0};
    EXPECT_EQ(parse_answer(later), Answer::NotSupported);
    EXPECT_FALSE(parse_answer(std::span(later).first(3)));
}

} // namespace
