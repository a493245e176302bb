#include "dbus/unread_answers.h"

#include <gtest/gtest.h>

namespace p2prc::dbus {
namespace {

using Verdict = UnreadAnswers::Verdict;

constexpr UnreadLimits few{
    .all = 1000, .small = 10, .refusals = 30, .look_from = 100, .callers = 4, .looks = 2};

class UnreadAnswersTest : public ::testing::Test {
  protected:
    void look_at(const std::string& caller, std::size_t unread) {
        ASSERT_EQ(unread_.next_look(), caller);
        unread_.looked(caller, unread);
    }

    UnreadAnswers unread_{few};
};

TEST_F(UnreadAnswersTest, WhoDoesNotReadIsRefusedAndOthersAreServed) {
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(unread_.verdict("deaf"), Verdict::Serve) << i;
        unread_.sent("deaf", 100);
    }
    unread_.sent("deaf", 100);
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Refuse);
    EXPECT_EQ(unread_.verdict("other"), Verdict::Serve);
    look_at("deaf", 400);
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Refuse);
    look_at("deaf", 0);
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Serve);
    EXPECT_EQ(unread_.total(), 0);
}

// Who asks for one thing after the other has read what came before.
TEST_F(UnreadAnswersTest, TheNewestAnswerDoesNotCount) {
    unread_.sent("reader", 800);
    look_at("reader", 800);
    EXPECT_EQ(unread_.verdict("reader"), Verdict::Serve);
    unread_.sent("reader", 100);
    EXPECT_EQ(unread_.verdict("reader"), Verdict::Refuse);
}

// What is sent while the bus is being asked is not in its answer.
TEST_F(UnreadAnswersTest, WhatIsSentDuringALookStaysCounted) {
    unread_.sent("reader", 200);
    ASSERT_EQ(unread_.next_look(), "reader");
    unread_.sent("reader", 50);
    unread_.looked("reader", 0);
    EXPECT_EQ(unread_.total(), 50);
}

TEST_F(UnreadAnswersTest, WhatOthersSentDoesNotCount) {
    unread_.sent("reader", 200);
    look_at("reader", 100000);
    EXPECT_EQ(unread_.total(), 200);
}

TEST_F(UnreadAnswersTest, ManyLeaveRoomForTheNext) {
    for (int turn = 0; turn < 100; ++turn)
        for (int i = 0; i < 50; ++i) {
            const auto deaf = std::to_string(i);
            if (unread_.verdict(deaf) == Verdict::Serve && unread_.fits(20)) unread_.sent(deaf, 20);
        }
    EXPECT_LE(unread_.total(), few.all);
    EXPECT_EQ(unread_.verdict("reader"), Verdict::Serve);
    EXPECT_TRUE(unread_.fits(few.small));
    EXPECT_FALSE(unread_.fits(few.all));
}

// Even refusals fill the bus when nobody reads them.
TEST_F(UnreadAnswersTest, WhoDoesNotReadRefusalsHearsNothingInTheEnd) {
    for (int i = 0; i < 4; ++i)
        unread_.sent("deaf", 100);
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(unread_.verdict("deaf"), Verdict::Refuse) << i;
        unread_.refused("deaf", 10);
    }
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Ignore);
    look_at("deaf", 430);
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Ignore);
    look_at("deaf", 420);
    EXPECT_EQ(unread_.verdict("deaf"), Verdict::Refuse) << "it has begun to read";
}

// Nobody has looked at it yet: what it was sent long ago counts as unread.
TEST_F(UnreadAnswersTest, WhereNothingIsLeftALongLivedCallerIsServedWhatIsSmall) {
    unread_.sent("reader", 5);
    unread_.sent("reader", 5);
    for (int i = 0; i < 10; ++i)
        unread_.sent("deaf", 100);
    EXPECT_EQ(unread_.verdict("reader"), Verdict::Serve);
    EXPECT_TRUE(unread_.fits(few.small));
}

TEST_F(UnreadAnswersTest, ThoseWhoHaveGoneAreForgotten) {
    for (int i = 0; i < 100; ++i) {
        unread_.sent(std::to_string(i), 10);
        while (const auto gone = unread_.next_look())
            unread_.looked(*gone, 0);
    }
    EXPECT_LE(unread_.total(), few.callers * 10 + 10);
}

TEST_F(UnreadAnswersTest, FewAreLookedAtAtOnce) {
    for (const auto* name : {"a", "b", "c"})
        unread_.sent(name, 100);
    EXPECT_EQ(unread_.next_look(), "a");
    EXPECT_EQ(unread_.next_look(), "b");
    EXPECT_EQ(unread_.next_look(), std::nullopt);
    unread_.looked("a", 100);
    EXPECT_EQ(unread_.next_look(), "c");
}

TEST_F(UnreadAnswersTest, ABusThatDoesNotTellRefusesNobody) {
    for (int i = 0; i < 10; ++i)
        unread_.sent("reader", 100);
    ASSERT_TRUE(unread_.next_look());
    unread_.give_up();
    unread_.looked("reader", 0);
    EXPECT_EQ(unread_.verdict("reader"), Verdict::Serve);
    EXPECT_TRUE(unread_.fits(few.all * 2));
    EXPECT_EQ(unread_.next_look(), std::nullopt);
}

} // namespace
} // namespace p2prc::dbus
