#include "core/labels.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace p2prc {
namespace {

using Json = nlohmann::json;

TEST(Labels, AreWordsWithOrWithoutAValue) {
    const auto key = parse_label("ssd"), both = parse_label("disk=nvme.2"), empty = parse_label("disk=");
    ASSERT_TRUE(key && both && empty);
    EXPECT_EQ(*key, std::pair(std::string("ssd"), std::string()));
    EXPECT_EQ(*both, std::pair(std::string("disk"), std::string("nvme.2")));
    EXPECT_EQ(*empty, std::pair(std::string("disk"), std::string()));
    for (const auto* bad : {"", "=", "=x", "-a", "a-", "a b", "a=b=c", "a=\n", "\xff", "a=b-", "a/b"})
        EXPECT_FALSE(parse_label(bad)) << bad;
    EXPECT_TRUE(parse_label(std::string(63, 'a')));
    EXPECT_FALSE(parse_label(std::string(64, 'a')));
    EXPECT_EQ(label_text("ssd", ""), "ssd");
    EXPECT_EQ(label_text("disk", "ssd"), "disk=ssd");
}

TEST(Labels, AKeyAloneAsksForAnyValue) {
    const Labels labels{{"ssd", ""}, {"room", "attic"}};
    EXPECT_TRUE(has_label(labels, "ssd"));
    EXPECT_TRUE(has_label(labels, "room"));
    EXPECT_TRUE(has_label(labels, "room=attic"));
    EXPECT_FALSE(has_label(labels, "room=cellar"));
    EXPECT_FALSE(has_label(labels, "ssd=fast"));
    EXPECT_FALSE(has_label(labels, "gpu"));
}

TEST(Labels, OfAnotherNodesWordOnlyLabelsAreTaken) {
    Json many = {{"ssd", ""}, {"a b", ""}, {"c", "\x1b[2J"}, {"d", 1}};
    EXPECT_EQ(labels_from_json(many), (Labels{{"ssd", ""}}));
    for (int i = 0; i < 1000; ++i)
        many["k" + std::to_string(i)] = "";
    EXPECT_EQ(labels_from_json(many).size(), most_labels);
    EXPECT_TRUE(labels_from_json(Json::array({"ssd"})).empty());
    EXPECT_TRUE(labels_from_json(Json()).empty());
}

TEST(Custom, IsSmallAndPlain) {
    EXPECT_TRUE(check_custom({{"owner", "Grete"}, {"stands in", "the attic, behind the chimney"}}));
    EXPECT_FALSE(check_custom({{"", "x"}}));
    EXPECT_FALSE(check_custom({{std::string(64, 'n'), "x"}}));
    EXPECT_FALSE(check_custom({{"a", "two\nlines"}}));
    EXPECT_FALSE(check_custom({{"a", std::string(largest_custom, 'x')}}));
    EXPECT_EQ(parse_custom({{"a", "b"}}), (Custom{{"a", "b"}}));
    for (const auto& wrong : {Json("a"), Json(), Json{{"a", 1}}, Json{{"", "x"}}})
        EXPECT_FALSE(parse_custom(wrong)) << wrong;
    EXPECT_EQ(custom_from_json({{"a", "b"}, {"c", 1}, {"d", "\x1b"}}), (Custom{{"a", "b"}}));
    EXPECT_TRUE(custom_from_json({{"a", std::string(largest_custom, 'x')}}).empty());
}

} // namespace
} // namespace p2prc
