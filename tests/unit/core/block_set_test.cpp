#include "core/block_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace p2prc {
namespace {

using testing::ElementsAreArray;

using Texts = BlockSet<std::string, std::less<>>;

std::vector<std::string> values(const Texts& set) {
    return {set.begin(), set.end()};
}

std::string number(unsigned n) {
    return std::string(4 - std::min<std::size_t>(4, std::to_string(n).size()), '0') + std::to_string(n);
}

TEST(BlockSet, IsEmptyAtFirst) {
    const Texts set;
    EXPECT_TRUE(set.empty());
    EXPECT_EQ(set.begin(), set.end());
    EXPECT_EQ(set.find("a"), set.end());
    EXPECT_EQ(set.lower_bound(""), set.end());
}

TEST(BlockSet, KeepsWhatComesInOrderAndBackwards) {
    Texts upwards, downwards;
    std::vector<std::string> expected;
    for (unsigned i = 0; i < 1000; ++i) {
        EXPECT_TRUE(upwards.insert(number(i)));
        EXPECT_TRUE(downwards.insert(number(999 - i)));
        expected.push_back(number(i));
    }
    EXPECT_THAT(values(upwards), ElementsAreArray(expected));
    EXPECT_THAT(values(downwards), ElementsAreArray(expected));
    std::vector<std::string> backwards;
    for (auto at = upwards.end(); at != upwards.begin();)
        backwards.push_back(*--at);
    std::ranges::reverse(expected);
    EXPECT_THAT(backwards, ElementsAreArray(expected));
}

// Beside std::set, through every way in which a block is filled, split and emptied.
TEST(BlockSet, DoesWhatASetDoes) {
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same each time
    Texts set;
    std::set<std::string, std::less<>> expected;
    for (unsigned round = 0; round < 40000; ++round) {
        const auto text = number(random() % 3000);
        // Grows, shrinks to nothing, and grows again.
        const bool grow = (round / 10000) % 2 == 0 ? random() % 4 != 0 : random() % 40 == 0;
        if (grow)
            EXPECT_EQ(set.insert(text), expected.insert(text).second);
        else
            EXPECT_EQ(set.erase(text), expected.erase(text) > 0);
        const auto look = number(random() % 3000);
        const auto found = set.lower_bound(look);
        const auto other = expected.lower_bound(look);
        ASSERT_EQ(found == set.end(), other == expected.end());
        if (other != expected.end()) ASSERT_EQ(*found, *other);
        ASSERT_EQ(set.contains(look), expected.contains(look));
        ASSERT_EQ(set.size(), expected.size());
    }
    EXPECT_THAT(values(set), ElementsAreArray(expected));
    while (!set.empty()) {
        set.erase(set.begin());
        expected.erase(expected.begin());
        ASSERT_EQ(set.size(), expected.size());
    }
    EXPECT_EQ(set.begin(), set.end());
}

// What is left of many in a few blocks, in every place.
TEST(BlockSet, PutsTogetherWhatIsLeft) {
    std::mt19937 random(7); // NOLINT(cert-msc51-cpp): the same each time
    for (const unsigned left : {0U, 1U, 2U, 40U, 300U}) {
        Texts set;
        std::vector<std::string> all;
        for (unsigned i = 0; i < 3000; ++i) {
            all.push_back(number(i));
            set.insert(all.back());
        }
        std::ranges::shuffle(all, random);
        while (all.size() > left) {
            EXPECT_TRUE(set.erase(all.back()));
            all.pop_back();
        }
        std::ranges::sort(all);
        EXPECT_THAT(values(set), ElementsAreArray(all));
        EXPECT_EQ(set.size(), left);
    }
}

TEST(BlockMap, HasAValueForEachKey) {
    BlockMap<int> map;
    EXPECT_TRUE(map.insert({"b", 1}));
    EXPECT_FALSE(map.insert({"b", 2}));
    EXPECT_EQ(map.find("b")->second, 1);
    map.value_at(map.find("b")) = 3;
    EXPECT_EQ(map.find("b")->second, 3);
    map.insert_or_assign({"b", 4});
    map.insert_or_assign({"a", 5});
    EXPECT_EQ(map.find("b")->second, 4);
    EXPECT_EQ(map.begin()->first, "a");
    EXPECT_EQ(map.lower_bound("c"), map.end());
    EXPECT_TRUE(map.erase("b"));
    EXPECT_FALSE(map.erase("b"));
    EXPECT_EQ(map.size(), 1U);
}

} // namespace
} // namespace p2prc
