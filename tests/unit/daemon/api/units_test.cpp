#include "daemon/api/acme_unit.h"
#include "daemon/api/journal_logs.h"
#include "daemon/api/journal_reader.h"
#include "dbus/codec.h"
#include "process/unit_names.h"
#include "tests/unit/daemon/api/fixture.h"

#include <systemd/sd-bus.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>

namespace p2prc::daemon {
namespace {

// How many children of this process have that name; one that ended counts until it was waited for.
std::size_t children(std::string_view name) {
    std::size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream list(task.path() / "children");
        for (std::string pid, command; list >> pid;)
            if (std::getline(std::ifstream("/proc/" + pid + "/comm"), command) && command == name) ++count;
    }
    return count;
}

class UnitsTest : public ApiTest {};

TEST_F(UnitsTest, EachDomainsAcmeUnitHasANameOfItsOwn) {
    EXPECT_EQ(acme_unit_name("a.home.example"), "p2prcd-acme-a.home.example.service");
    std::string longest; // 253 octets in labels of 63 and 61
    for (const char letter : {'a', 'b', 'c', 'd'})
        longest += std::string(letter == 'd' ? 61 : 63, letter) + (letter == 'd' ? "" : ".");
    ASSERT_EQ(longest.size(), 253U);
    std::set<std::string> names;
    const std::array<std::string, 6> domains{
        "*.home.example",         "wildcard.home.example",        longest, longest.substr(0, 252) + "e",
        "*." + longest.substr(2), "wildcard." + longest.substr(9)};
    for (const auto& domain : domains) {
        names.insert(acme_unit_name(domain));
        EXPECT_TRUE(process::check_unit_name(acme_unit_name(domain))) << acme_unit_name(domain);
    }
    EXPECT_EQ(names.size(), domains.size());
}

TEST_F(UnitsTest, TheAcmeUnitCanBeWrittenAndHandsOverDataOnly) {
    const auto unit = acme_unit("a.home.example", "https://acme.example/$HOME");
    bool as_user = false;
    for (const process::UnitProperty& property : unit) {
        const auto message = server->new_signal("/x", "org.example1.X", "Y").value();
        EXPECT_TRUE(dbus::write_value(message, property.signature, property.value, {.exact = true}))
            << property.name;
        as_user = as_user || (property.name == "User" && property.value == "p2prc-connector");
        if (property.name != "ExecStartEx") continue;
        for (const Json& command : property.value)
            EXPECT_EQ(command[2][0], "no-env-expand");
        // Nothing that comes from the root is read as an option.
        const Json& issue = property.value[1][1];
        EXPECT_EQ(Json(issue.end()[-3]), "--");
        EXPECT_EQ(issue.back(), "a.home.example");
    }
    EXPECT_TRUE(as_user);
    for (const char* name : {"SystemCallFilter", "RestrictNamespaces", "ProtectProc"})
        EXPECT_EQ(std::ranges::count(unit, name, &process::UnitProperty::name), 1) << name;
}

TEST_F(UnitsTest, LogsOfAProcessElsewhereAreNotHere) {
    populate();
    commit({{keys::process("blog"), to_json(process(9, "blog", "root1"))}});
    const OpenLogs open = journal_logs(bus.io.get_executor(), api->view());
    EXPECT_EQ(bus.run(open({{"process", "blog"}})).error().code, ErrorCode::NotFound);
    EXPECT_EQ(bus.run(open({{"process", "none"}})).error().code, ErrorCode::NotFound);
}

TEST_F(UnitsTest, TheJournalsWordsComeAndEnd) {
    populate();
    const OpenLogs open = journal_logs(bus.io.get_executor(), api->view());
    auto stream = bus.run(open({{"process", "wiki"}, {"lines", 5}}));
    ASSERT_TRUE(stream) << stream.error().message;
    // Whatever this machine's journal has about such a unit, the stream ends.
    for (bool ended = false; !ended;) {
        const auto piece = bus.run((*stream)->next());
        ASSERT_TRUE(piece);
        ended = !*piece;
    }
    stream->reset();
    auto following = bus.run(open({{"process", "wiki"}, {"lines", 5}, {"follow", true}}));
    ASSERT_TRUE(following);
    following->reset();
    EXPECT_EQ(children("journalctl"), 0) << "it is read in this process";
}

TEST_F(UnitsTest, TheOldestLogStreamMakesRoomForANewOne) {
    populate();
    const OpenLogs open = journal_logs(bus.io.get_executor(), api->view());
    const auto follow = [&] {
        auto stream = bus.run(open({{"process", "wiki"}, {"lines", 0}, {"follow", true}}));
        EXPECT_TRUE(stream);
        return std::move(*stream);
    };
    auto first = follow();
    std::vector<std::unique_ptr<link::TextStream>> others;
    while (others.size() + 1 < most_log_streams)
        others.push_back(follow());
    std::optional<Error> end;
    boost::asio::co_spawn(bus.io, first->next(), [&](std::exception_ptr, auto piece) {
        if (!piece) end = piece.error();
    });
    EXPECT_FALSE(end);
    others.push_back(follow());
    EXPECT_TRUE(wait([&] { return end.has_value(); }));
    others.clear();
}

TEST(JournalReader, ShowsTextWithoutMovingACursor) {
    EXPECT_EQ(words_about("Started p2prc-web.service."), "-- Started p2prc-web.service.");
    EXPECT_EQ(
        words_about(
            "p2prc-web.service: bpf-foreign: Foreign BPF program already exists, ignoring: File exists"),
        "");
    EXPECT_EQ(entry_text("t h p[1]: ", "10%\r100% done\n"), "t h p[1]: 10%\n          100% done\n");
    EXPECT_EQ(entry_text("t: ", "\x1b[2Jline\x9b\xff\ttab"), "t: \uFFFD[2Jline\uFFFD\uFFFD\ttab\n");
    EXPECT_EQ(entry_text("\x1b: ", std::string("a\0b", 3)), "\uFFFD: a\uFFFDb\n");
    EXPECT_EQ(entry_text("\u00fc: ", "a\nb"), "\u00fc: a\n   b\n");
    EXPECT_EQ(entry_text("t: ", ""), "t: \n");
    const auto cut = entry_text("", std::string(100000, 'a'));
    EXPECT_LT(cut.size(), 8000U);
    EXPECT_TRUE(cut.ends_with("a [...]\n"));
}

} // namespace
} // namespace p2prc::daemon
