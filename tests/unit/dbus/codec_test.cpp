#include "dbus/codec.h"
#include "dbus/signature.h"
#include "tests/unit/support/private_bus.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <limits>
#include <map>

namespace p2prc::dbus {
namespace {

using Json = nlohmann::json;

TEST(Signature, FirstType) {
    EXPECT_EQ(first_type("sas"), "s");
    EXPECT_EQ(first_type("a{s(ii)}x"), "a{s(ii)}");
    EXPECT_EQ(first_type("a(sv)a(sa(sv))"), "a(sv)");
    EXPECT_EQ(first_type(""), "");
    EXPECT_EQ(first_type("a"), "");
    EXPECT_EQ(first_type("(s"), "");
    EXPECT_EQ(first_type("()"), "");
    EXPECT_EQ(first_type("z"), "");
    EXPECT_EQ(first_type(std::string(200, 'a') + "s"), "");
}

// Messages need a bus; nothing is sent.
class CodecTest : public ::testing::Test {
  protected:
    void SetUp() override { connection = bus.connect(); }
    Message make() { return connection->new_signal("/x", "org.example1.X", "Y").value(); }
    static void seal(const Message& message) {
        ASSERT_GE(sd_bus_message_seal(message.get(), 1, 0), 0);
        ASSERT_GE(sd_bus_message_rewind(message.get(), 1), 0);
    }
    Json round_trip(std::string_view type, const Json& value) {
        Message message = make();
        const auto written = write_value(message, type, value);
        EXPECT_TRUE(written) << written.error().message;
        seal(message);
        EXPECT_EQ(message.signature(), type);
        const auto read = read_value(message);
        EXPECT_TRUE(read) << read.error().message;
        return read.value_or(nullptr);
    }

    test::PrivateBus bus;
    std::unique_ptr<Bus> connection;
};

TEST_F(CodecTest, BySignature) {
    EXPECT_EQ(round_trip("s", "grüße"), "grüße");
    EXPECT_EQ(round_trip("y", 255), 255);
    EXPECT_EQ(round_trip("n", -32768), -32768);
    EXPECT_EQ(round_trip("t", UINT64_MAX), UINT64_MAX);
    EXPECT_EQ(round_trip("x", INT64_MIN), INT64_MIN);
    EXPECT_EQ(round_trip("d", 1.5), 1.5);
    EXPECT_EQ(round_trip("b", true), true);
    EXPECT_EQ(round_trip("o", "/a/b"), "/a/b");
    const Json properties = Json::parse(R"([["Description","x"],["ExecStart",["a","b"]]])");
    EXPECT_EQ(round_trip("a(sv)", properties), properties);
    const Json commands = Json::parse(R"([["/bin/sh",["sh","-c","true"],false]])");
    EXPECT_EQ(round_trip("a(sasb)", commands), commands);
    EXPECT_EQ(round_trip("a{ss}", {{"TZ", "UTC"}}), Json({{"TZ", "UTC"}}));
    EXPECT_EQ(round_trip("(su)", Json::array({"a", 1})), Json::array({"a", 1}));
    EXPECT_EQ(round_trip("aay", Json::parse(R"([[97,255],"ab",""])")), Json::parse("[[97,255],[97,98],[]]"))
        << "a text is bytes, too";
}

TEST_F(CodecTest, ByNature) {
    const Json table =
        Json::parse(R"({"edges":[{"address":"203.0.113.1:443","key":"00ff"}],"acme":"none","n":5,
        "minus":-5,"half":0.5,"yes":true,"names":["a","b"],"mixed":[1,"a",[2]],"empty":[],"deep":{"er":{"est":1}}})");
    Json with_null = table;
    with_null["nothing"] = nullptr;
    Message message = make();
    ASSERT_TRUE(write_dictionary(message, with_null));
    seal(message);
    EXPECT_EQ(message.signature(), "a{sv}");
    EXPECT_EQ(read_value(message).value(), table);
}

TEST_F(CodecTest, WhatDoesNotFitIsRefusedAndAppendsNothing) {
    const std::vector<std::pair<std::string, Json>> cases{
        {"s", 5},
        {"y", 256},
        {"y", -1},
        {"u", 4294967296},
        {"u", "5"},
        {"x", UINT64_MAX},
        {"b", 1},
        {"o", "not a path"},
        {"as", Json::array({"a", 1})},
        {"a{ss}", "x"},
        {"(su)", {"a"}},
        {"(s)", Json::array({"a", "b"})},
        {"v", nullptr},
        {"av", Json::array({nullptr})},
        {"ss", "a"},
        {"", 1},
        {"h", 1},
        {"a{us}", Json::object({{"1", "a"}})},
    };
    for (const auto& [type, value] : cases) {
        Message message = make();
        EXPECT_FALSE(write_value(message, type, value)) << type;
        seal(message);
        EXPECT_EQ(message.signature(), "") << type;
    }
}

// Texts that sd-bus refuses: NUL, wrong bytes, surrogates, noncharacters.
const std::vector<std::pair<std::string, std::string>> unfit{
    {std::string("a\0b", 3), "a\uFFFDb"},   {"a\xffz", "a\uFFFDz"},
    {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD"}, {"GET /\xef\xbf\xbf", "GET /\uFFFD"},
    {"\xef\xb7\x90!", "\uFFFD!"},           {"half \xc3", "half \uFFFD"},
};

TEST_F(CodecTest, TextIsMadeFit) {
    for (const auto& [text, fit] : unfit) {
        EXPECT_EQ(round_trip("s", text), fit);
        EXPECT_EQ(round_trip("as", Json::array({"a", text})), Json::array({"a", fit}));
        EXPECT_EQ(round_trip("a{sv}", {{"a", text}, {"b", 1}}), Json({{"a", fit}, {"b", 1}}));
        EXPECT_EQ(round_trip("a{sv}", {{text, 1}, {"b", 1}}), Json({{"b", 1}})) << "a key is left out";
    }
}

TEST_F(CodecTest, NamesAndSettingsInCallsAreRefusedInstead) {
    for (const auto& [text, fit] : unfit) {
        Message message = make();
        EXPECT_FALSE(write_value(message, "s", text, {.exact = true}));
        EXPECT_FALSE(write_value(message, "a{ss}", {{text, "a"}}, {.exact = true}));
        const auto spec = write_spec(message, {{"run", {{"command", {"/bin/echo", text}}}}});
        ASSERT_FALSE(spec);
        EXPECT_NE(spec.error().message.find("'run.command'"), std::string::npos) << spec.error().message;
        seal(message);
        EXPECT_EQ(message.signature(), "");
    }
}

TEST_F(CodecTest, WhatDoesNotFitIsLeftOutAlone) {
    Json deep = 1;
    for (int i = 0; i < 40; ++i)
        deep = Json::object({{"a", deep}});
    const Json odd = Json::parse(R"({"name":"odd","port":"x","later":[null],"far":{"list":[null],"kept":1},
        "rows":[{"bad":[null],"good":1},{"b":2}],"reason":{"kind":"exit-code","code":"three","log":["a\u0000b"]}})");
    Json list = Json::array({odd, {{"name", "fine"}}, 5});
    list[0]["abyss"] = deep;
    for (const auto fields : {process_fields(), std::span<const Field>()}) {
        Message message = make();
        ASSERT_TRUE(write_field_list(message, fields, list));
        seal(message);
        const Json read = read_value(message).value();
        ASSERT_EQ(read.size(), 2U);
        EXPECT_EQ(read[1]["name"], "fine");
        EXPECT_EQ(read[0]["name"], "odd");
        EXPECT_EQ(read[0].contains("later"), false);
        EXPECT_EQ(read[0]["far"], Json({{"kept", 1}}));
        EXPECT_EQ(read[0]["rows"], Json::parse(R"([{"good":1},{"b":2}])"));
        EXPECT_EQ(read[0]["reason"]["log"], Json::array({"a\uFFFDb"}));
    }
}

// A type that depends on what is in a list cannot be relied on.
TEST_F(CodecTest, AnEmptyListOfTablesIsOne) {
    Message message = make();
    ASSERT_TRUE(write_fields(message, status_fields(), Json{{"problems", Json::array()}}));
    seal(message);
    const char* contents = nullptr;
    ASSERT_GT(sd_bus_message_enter_container(message.get(), 'a', "{sv}"), 0);
    ASSERT_GT(sd_bus_message_enter_container(message.get(), 'e', "sv"), 0);
    ASSERT_GT(sd_bus_message_skip(message.get(), "s"), 0);
    ASSERT_GT(sd_bus_message_peek_type(message.get(), nullptr, &contents), 0);
    EXPECT_STREQ(contents, "aa{sv}");
}

TEST_F(CodecTest, RowsOfATableHaveItsTypes) {
    Message message = make();
    const Json problem = {{"severity", "down"}, {"affects", Json::array()}, {"since_timestamp", 5}};
    ASSERT_TRUE(write_fields(message, status_fields(), Json{{"problems", Json::array({problem})}}));
    seal(message);
    EXPECT_EQ(read_value(message).value(), Json({{"problems", Json::array({problem})}}));
}

TEST_F(CodecTest, AListIsTheSameAnObjectAtATime) {
    const Json list = Json::array({{{"name", "wiki"}, {"id", 7}, {"port", "x"}}, {{"name", "blog"}}, 5});
    Message whole = make(), parts = make();
    ASSERT_TRUE(write_field_list(whole, process_fields(), list));
    ASSERT_TRUE(write_field_list(parts, process_fields(), [&](const auto& take) {
        for (const Json& row : list)
            take(row);
    }));
    seal(whole);
    seal(parts);
    const Json read = read_value(parts).value();
    EXPECT_EQ(read.size(), 2U);
    EXPECT_EQ(read, read_value(whole).value());
}

TEST_F(CodecTest, WritesWhatStandsForNothing) {
    for (const std::string type : {"s", "o", "b", "d", "u", "t", "x", "as", "a{sv}", "aa{sv}", "a{ss}"}) {
        Message message = make();
        ASSERT_TRUE(write_nothing(message, type)) << type;
        seal(message);
        EXPECT_EQ(message.signature(), type);
    }
}

TEST_F(CodecTest, LimitsHold) {
    Json deep = 1;
    for (int i = 0; i < 20; ++i)
        deep = Json::object({{"a", deep}});
    Message message = make();
    EXPECT_FALSE(write_dictionary(message, deep));
    CodecLimits generous;
    generous.depth = 19;
    EXPECT_FALSE(write_dictionary(message, deep, generous));
    generous.depth = 40;
    ASSERT_TRUE(write_dictionary(message, deep, generous));
    seal(message);
    EXPECT_FALSE(read_value(message));
    message.rewind();
    EXPECT_TRUE(read_value(message, generous));

    Message wide = make();
    const Json list = std::vector<std::string>(1000, "x");
    ASSERT_TRUE(write_value(wide, "as", list));
    seal(wide);
    CodecLimits few;
    few.values = 999;
    EXPECT_FALSE(read_value(wide, few));
    wide.rewind();
    CodecLimits small;
    small.bytes = 999;
    EXPECT_FALSE(read_value(wide, small));
}

// Counted as the D-Bus specification has it ("Marshaling"), over all arguments.
TEST_F(CodecTest, TheSizeOfAMessageIsKnown) {
    Message message = make();
    const auto size_with = [&](const char* type, const Json& value) {
        EXPECT_TRUE(write_value(message, type, value)) << type;
        return message.grow(1, 0);
    };
    EXPECT_EQ(size_with("y", 1), 1U);
    EXPECT_EQ(size_with("s", "abc"), 4U + 8U);
    EXPECT_EQ(size_with("t", 1), 16U + 8U);
    EXPECT_EQ(size_with("as", Json::array({"a", "b"})), 24U + 4U + 8U + 6U);
    EXPECT_EQ(size_with("a{sv}", {{"k", "v"}}), 48U + 6U /* k */ + 3U /* its type */ + 3U + 6U);
    EXPECT_EQ(size_with("(qb)", Json::array({1, true})), 72U + 8U);
}

TEST_F(CodecTest, RowsBeyondAMessageAreRefused) {
    const Json list(40, Json{{"name", "x"}, {"text", std::string(std::size_t{1} << 20U, 'x')}});
    Message message = make();
    const auto written = write_field_list(message, {}, list);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error(), too_large());
}

TEST_F(CodecTest, DuplicateAndNonTextKeysAreRefused) {
    Message twice = make();
    sd_bus_message_append(twice.get(), "a{sv}", 2, "a", "u", 1, "a", "u", 2);
    seal(twice);
    EXPECT_FALSE(read_value(twice));
    twice.rewind();
    EXPECT_FALSE(read_spec(twice));
    Message numbers = make();
    sd_bus_message_append(numbers.get(), "a{us}", 1, 7, "a");
    seal(numbers);
    EXPECT_FALSE(read_value(numbers));
    Message infinite = make();
    sd_bus_message_append(infinite.get(), "d", std::numeric_limits<double>::infinity());
    seal(infinite);
    EXPECT_FALSE(read_value(infinite));
}

TEST_F(CodecTest, SpecWithTheTypesOfTheTable) {
    Message message = make();
    sd_bus_message_append(message.get(), "a{sv}", 6, "name", "s", "calendar", "port", "u", 5232, "domain",
                          "s", "calendar.home.example", "run", "a{sv}", 2, "command", "as", 2,
                          "/usr/bin/radicale", "-D", "environment", "a{ss}", 1, "TZ", "UTC", "limits",
                          "a{sv}", 1, "memory", "s", "512M", "remedy", "aa{sv}", 1, 2, "reason", "s",
                          "oom-kill", "action", "s", "move");
    seal(message);
    const auto document = read_spec(message);
    ASSERT_TRUE(document) << document.error().message;
    EXPECT_EQ(*document, Json::parse(R"({"name":"calendar","port":5232,"domain":"calendar.home.example",
        "run":{"command":["/usr/bin/radicale","-D"],"environment":{"TZ":"UTC"}},"limits":{"memory":"512M"},
        "remedy":[{"reason":"oom-kill","action":"move"}]})"));
}

TEST_F(CodecTest, ReadinessAndLivenessOfASpec) {
    const auto spec = Json::parse(R"({"name":"db","port":5432,"run":{"command":["/usr/bin/db"]},
        "ready":{"command":"pg_isready -q","timeout":"90s"},
        "live":{"port":true,"every":"10s","failures":2}})");
    Message message = make();
    ASSERT_TRUE(write_spec(message, spec));
    seal(message);
    EXPECT_EQ(read_spec(message), spec);
    Message words = make();
    sd_bus_message_append(words.get(), "a{sv}", 1, "ready", "a{sv}", 1, "command", "as", 1, "/bin/true");
    seal(words);
    EXPECT_EQ(read_spec(words), Json::parse(R"({"ready":{"command":["/bin/true"]}})"));
    Message wrong = make();
    sd_bus_message_append(wrong.get(), "a{sv}", 1, "ready", "a{sv}", 1, "timeout", "u", 60);
    seal(wrong);
    EXPECT_FALSE(read_spec(wrong));
}

TEST_F(CodecTest, SpecTakesOtherWholeNumbersAndAShellCommand) {
    Message message = make();
    sd_bus_message_append(message.get(), "a{sv}", 3, "port", "i", 80, "run", "a{sv}", 1, "command", "s",
                          "sleep 1", "limits", "a{sv}", 1, "memory", "t", std::uint64_t{1} << 30U);
    seal(message);
    EXPECT_EQ(read_spec(message).value(),
              Json::parse(R"({"port":80,"run":{"command":"sleep 1"},"limits":{"memory":1073741824}})"));
}

TEST_F(CodecTest, SpecWithAWrongTypeNamesTheKey) {
    Message message = make();
    sd_bus_message_append(message.get(), "a{sv}", 1, "run", "a{sv}", 1, "environment", "as", 1, "TZ=UTC");
    seal(message);
    const auto document = read_spec(message);
    ASSERT_FALSE(document);
    EXPECT_EQ(document.error().code, ErrorCode::InvalidSpec);
    EXPECT_NE(document.error().message.find("'run.environment'"), std::string::npos);
    Message table = make();
    sd_bus_message_append(table.get(), "a{sv}", 1, "run", "s", "sleep");
    seal(table);
    EXPECT_EQ(read_spec(table).error().code, ErrorCode::InvalidSpec);
    Message unknown = make();
    sd_bus_message_append(unknown.get(), "a{sv}", 1, "prot", "u", 1);
    seal(unknown);
    EXPECT_EQ(read_spec(unknown).value(), Json({{"prot", 1}}));
}

TEST_F(CodecTest, StatusGoesOutWithTheTypesOfTheTable) {
    const Json process = Json::parse(R"({"id":7,"name":"wiki","status":true,"memory_bytes":4096,"epoch":1,
        "cpu_seconds":2,"domains":[],"domain":null,"since":"2026-01-02T03:04:05Z","deployment":{"strategy":"","script":""},
        "reason":{"kind":"exit-code","code":1,"signal":null,"epoch":1,"log":["bye"]},"port":"not a number","later":3})");
    Message message = make();
    const Json list = Json::array({process, process});
    ASSERT_TRUE(write_field_list(message, process_fields(), list));
    ASSERT_TRUE(write_fields(message, process_fields(), process));
    seal(message);
    EXPECT_EQ(message.signature(), "aa{sv}a{sv}");
    Json expected = process;
    expected.erase("domain");
    expected.erase("port");
    expected["reason"].erase("signal");
    EXPECT_EQ(read_body(message).value(), Json::array({Json::array({expected, expected}), expected}));
    // The types themselves.
    message.rewind();
    sd_bus_message_skip(message.get(), "aa{sv}");
    sd_bus_message_enter_container(message.get(), 'a', "{sv}");
    std::map<std::string, std::string> types;
    while (sd_bus_message_enter_container(message.get(), 'e', "sv") > 0) {
        const char* key = nullptr;
        const char* contents = nullptr;
        sd_bus_message_read(message.get(), "s", &key);
        sd_bus_message_peek_type(message.get(), nullptr, &contents);
        types[key] = contents;
        sd_bus_message_skip(message.get(), "v");
        sd_bus_message_exit_container(message.get());
    }
    EXPECT_EQ(types["id"], "u");
    EXPECT_EQ(types["epoch"], "t");
    EXPECT_EQ(types["memory_bytes"], "t");
    EXPECT_EQ(types["status"], "b");
    EXPECT_EQ(types["since"], "s");
    EXPECT_EQ(types["cpu_seconds"], "d");
    EXPECT_EQ(types["domains"], "as");
    EXPECT_EQ(types["reason"], "a{sv}");
}

TEST_F(CodecTest, ReadingABodyWithAFileDescriptorIsRefused) {
    Message message = make();
    sd_bus_message_append(message.get(), "h", 0);
    seal(message);
    EXPECT_EQ(read_body(message).error().code, ErrorCode::InvalidSpec);
}

} // namespace
} // namespace p2prc::dbus
