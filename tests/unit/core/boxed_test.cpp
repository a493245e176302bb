#include "core/boxed.h"

#include <gtest/gtest.h>

#include <string>

namespace p2prc {
namespace {

TEST(Boxed, IsCopiedWithItsValue) {
    Boxed<std::string> one(std::string("text"));
    auto other = one;
    *other += "s";
    EXPECT_EQ(*one, "text");
    EXPECT_EQ(*other, "texts");
    EXPECT_NE(one, other);
    other = one;
    EXPECT_EQ(one, other);
    other.reset();
    EXPECT_FALSE(other);
    EXPECT_NE(one, other);
    one = other;
    EXPECT_FALSE(one.has_value());
    EXPECT_EQ(one, other);
}

TEST(Boxed, IsMadeOfAnOptional) {
    EXPECT_EQ(Boxed<int>(std::optional<int>(3)), Boxed<int>(3));
    EXPECT_FALSE(Boxed<int>(std::optional<int>()));
    EXPECT_FALSE(Boxed<int>(std::nullopt));
}

} // namespace
} // namespace p2prc
