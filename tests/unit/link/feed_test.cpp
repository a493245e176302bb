#include "link/feed.h"
#include "link/frame.h"
#include "tests/unit/link/step_of.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc::link {
namespace {

state::FeedEvent event_of(std::size_t count, std::size_t size) {
    state::FeedEvent event{true, "store", 9, {}};
    for (std::size_t i = 0; i < count; ++i)
        event.items.push_back({"/processes/p" + std::to_string(i), Json(std::string(size, 'x')), i + 1});
    event.items.push_back({"/processes/gone", {}, 9});
    return event;
}

std::optional<state::FeedEvent> put_together(const std::vector<Json>& documents) {
    FeedReader reader;
    std::optional<state::FeedEvent> whole;
    for (const auto& document : documents) {
        EXPECT_FALSE(whole);
        EXPECT_TRUE(encode_frame(document));
        auto taken = reader.take(document);
        EXPECT_TRUE(taken);
        if (taken) whole = std::move(*taken);
    }
    return whole;
}

std::vector<Json> feed_documents(const state::FeedEvent& event, std::vector<std::string>& too_large) {
    FeedWriter writer(step_of(event));
    std::vector<Json> documents;
    FrameReader reader;
    while (!writer.done()) {
        reader.feed(*writer.next());
        documents.push_back(reader.next().value().value());
    }
    too_large = writer.too_large();
    return documents;
}

TEST(Feed, SmallOneIsOneFrame) {
    std::vector<std::string> too_large;
    const auto event = event_of(3, 10);
    const auto documents = feed_documents(event, too_large);
    EXPECT_EQ(documents.size(), 1U);
    const auto whole = put_together(documents);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->items, event.items);
    EXPECT_EQ(whole->reset, true);
    EXPECT_EQ(whole->store_id, "store");
    EXPECT_EQ(whole->revision, 9U);
}

TEST(Feed, LargeOneIsCutAndPutTogether) {
    std::vector<std::string> too_large;
    const auto event = event_of(40, 100'000);
    const auto documents = feed_documents(event, too_large);
    EXPECT_GT(documents.size(), 4U);
    const auto whole = put_together(documents);
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->items, event.items);
}

TEST(Feed, EmptyResetIsToldToo) {
    std::vector<std::string> too_large;
    EXPECT_TRUE(put_together(feed_documents(state::FeedEvent{true, "store", 1, {}}, too_large)));
}

TEST(Feed, ValueLargerThanAFrameIsNamed) {
    std::vector<std::string> too_large;
    auto event = event_of(1, max_frame);
    const auto whole = put_together(feed_documents(event, too_large));
    EXPECT_EQ(too_large, std::vector<std::string>{"/processes/p0"});
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->items.size(), 1U);
}

TEST(Feed, AFrameThatIsOnItsWayIsMadeOnce) {
    const auto step = step_of(event_of(40, 100'000));
    FeedWriter one(step), other(step);
    while (!one.done()) {
        const auto frame = one.next();
        EXPECT_EQ(other.next(), frame);
    }
    EXPECT_TRUE(other.done());
}

TEST(Feed, PartsThatDoNotFitAreRefused) {
    FeedReader reader;
    Json part{
        {"event", "reset"}, {"store_id", "a"}, {"revision", 1U}, {"items", Json::array()}, {"more", true}};
    EXPECT_TRUE(reader.take(part));
    part["store_id"] = "b";
    EXPECT_FALSE(reader.take(part));
    for (const auto* text :
         {R"({"event":"changes"})", R"({"event":"changes","store_id":"a","revision":-1,"items":[]})",
          R"({"event":"changes","store_id":"a","revision":1,"items":[{"value":1}]})",
          R"({"event":"changes","store_id":"a","revision":1,"items":[{"key":"/a"}]})"})
        EXPECT_FALSE(FeedReader().take(Json::parse(text))) << text;
}

} // namespace
} // namespace p2prc::link
