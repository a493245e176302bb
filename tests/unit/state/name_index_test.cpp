#include "state/name_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace p2prc::state {
namespace {

using testing::ElementsAre;

TEST(NameIndex, HasTheNamesOfEachOwnerInOrder) {
    NameIndex index;
    index.add("home1", "web");
    index.add("home", "calendar");
    index.add("home1", "api");
    index.add("home1", "web");
    index.add("home2", "");
    EXPECT_THAT(index.of("home1"), ElementsAre("api", "web"));
    EXPECT_THAT(index.of("home"), ElementsAre("calendar"));
    EXPECT_THAT(index.of("home2"), ElementsAre(""));
    EXPECT_THAT(index.of("home3"), ElementsAre());
    EXPECT_THAT(index.of(""), ElementsAre());
    index.remove("home1", "web");
    index.remove("home1", "calendar");
    EXPECT_THAT(index.of("home1"), ElementsAre("api"));
    EXPECT_THAT(index.of("home"), ElementsAre("calendar"));
}

} // namespace
} // namespace p2prc::state
