// The documents for people say what the tables of core say.
#include "core/error.h"
#include "core/event_kind.h"
#include "core/fields.h"
#include "core/stop_reason.h"
#include "tests/unit/support/source_dir.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace p2prc {
namespace {

std::string document(const std::string& path) {
    std::ifstream file(test::source_path("docs/" + path));
    EXPECT_TRUE(file) << path;
    return {std::istreambuf_iterator<char>(file), {}};
}

bool contains(const std::string& text, const std::string& words) {
    return text.find(words) != std::string::npos;
}

TEST(Documentation, HasEveryKeyOfAProcessFileAndNoOther) {
    const auto page = document("process-file.md"), manual = document("man/p2prc-process.5.scd");
    std::size_t built = 0;
    for (const auto& field : spec_fields()) {
        const auto in_page = fmt::format("\n| `{}` |", field.key), in_manual = fmt::format("*{}*", field.key);
        EXPECT_EQ(contains(page, in_page), field.built) << field.key;
        EXPECT_EQ(contains(manual, in_manual), field.built) << field.key;
        built += field.built ? 1 : 0;
    }
    std::size_t rows = 0;
    for (auto at = page.find("\n| `"); at != std::string::npos; at = page.find("\n| `", at + 1))
        ++rows;
    EXPECT_EQ(rows, built);
}

TEST(Documentation, HasEveryErrorAndExitStatus) {
    const auto page = document("dbus.md"), manual = document("man/p2prc.1.scd");
    for (const auto& error : error_table()) {
        EXPECT_TRUE(contains(page, fmt::format("`{}`", error.name))) << error.name;
        EXPECT_TRUE(contains(manual, fmt::format("\n|  {}\n:", error.exit_status))) << error.exit_status;
    }
}

TEST(Documentation, HasEveryKindOfEventAndNoOther) {
    const auto page = document("dbus.md"), interface = document("../dbus/interfaces/org.p2prc1.Manager.xml");
    const auto begin = page.find("**Events.**"), end = page.find("**Waiting.**");
    ASSERT_LT(begin, end);
    const auto section = page.substr(begin, end - begin);
    for (const auto& kind : event_kind_table()) {
        EXPECT_TRUE(contains(section, fmt::format("\n| `{}` | {} |", kind.name, kind.description)))
            << kind.name;
        EXPECT_TRUE(contains(interface, std::string(kind.name))) << kind.name;
    }
    std::size_t rows = 0;
    for (auto at = section.find("\n| `"); at != std::string::npos; at = section.find("\n| `", at + 1))
        ++rows;
    EXPECT_EQ(rows, event_kind_table().size());
}

TEST(Documentation, HasEveryKindOfStop) {
    const auto manual = document("man/p2prc.1.scd");
    const auto begin = manual.find("# PROCESS STATES"), end = manual.find("# DOMAINS");
    ASSERT_LT(begin, end);
    const auto section = manual.substr(begin, end - begin);
    for (const auto& kind : stop_kind_table())
        EXPECT_TRUE(contains(section, std::string(kind.name))) << kind.name;
}

} // namespace
} // namespace p2prc
