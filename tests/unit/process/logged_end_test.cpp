#include "process/logged_end.h"

#include <gtest/gtest.h>

#include <csignal>
#include <vector>

namespace p2prc::process {
namespace {

constexpr auto stopped_id = "9d1aaa27d60140bd96365438aad20286";
constexpr auto succeeded_id = "7ad2d189f7e94e70a38c781354912448";
constexpr auto failed_id = "d9b373ed55a64feb8242e02dbe79a49c";
constexpr auto exited_id = "98e322203f7a4ed290d09fe03c09fe15";
constexpr auto started_id = "39f53479d3a045ac8e11786248231fbf";

UnitEntry failed(std::string invocation, std::string result, std::uint64_t at = 5) {
    return {failed_id, std::move(invocation), std::move(result), "", "", "", at};
}
UnitEntry exited(std::string invocation, std::string code, std::string status,
                 std::string command = "ExecStart") {
    return {exited_id, std::move(invocation), "", std::move(command), std::move(code), std::move(status), 4};
}
UnitEntry plain(const char* id, std::string invocation) {
    return {id, std::move(invocation), "", "", "", "", 6};
}

// Newest first.
std::optional<LoggedEnd> read(const std::vector<UnitEntry>& entries, std::string running = "") {
    LoggedEndReader reader(std::move(running));
    for (const auto& entry : entries)
        if (!reader.add(entry)) break;
    return reader.end();
}

TEST(LoggedEnd, NothingWithoutAnEnd) {
    EXPECT_FALSE(read({}));
    EXPECT_FALSE(read({plain(started_id, "a")}));
    EXPECT_FALSE(read({exited("a", "exited", "1")})) << "a run that still stops";
}

TEST(LoggedEnd, AFailureIsWhatTheUnitSaid) {
    const auto end =
        read({failed("b", "core-dump"), exited("b", "exited", "1", "ExecStop"), exited("b", "dumped", "11"),
              plain(started_id, "b"), failed("a", "exit-code"), exited("a", "exited", "3")});
    EXPECT_EQ(end, (LoggedEnd{"b", {"core-dump", CLD_DUMPED, SIGSEGV, ""}, false, 5}));
}

TEST(LoggedEnd, AnExitOfAnotherRunIsNotItsOwn) {
    const auto end = read({failed("b", "resources"), failed("a", "exit-code"), exited("a", "exited", "3")});
    EXPECT_EQ(end, (LoggedEnd{"b", {"resources", 0, 0, ""}, false, 5}));
}

TEST(LoggedEnd, TheRunThatGoesOnIsNotLookedAt) {
    const std::vector<UnitEntry> entries{plain(started_id, "c"), plain(stopped_id, "b"),
                                         failed("b", "signal"), exited("b", "killed", "9")};
    EXPECT_EQ(read(entries, "c"), (LoggedEnd{"b", {"signal", CLD_KILLED, SIGKILL, ""}, true, 5}));
    LoggedEndReader reader("d");
    for (const auto& entry : entries)
        reader.add(entry);
    EXPECT_FALSE(reader.reached_running()) << "the journal is behind";
}

TEST(LoggedEnd, SuccessAndStops) {
    EXPECT_EQ(read({plain(succeeded_id, "a")}), (LoggedEnd{"a", {"success", CLD_EXITED, 0, ""}, false, 6}));
    EXPECT_TRUE(read({plain(stopped_id, "a"), plain(succeeded_id, "a")})->stopped);
    EXPECT_TRUE(read({plain(stopped_id, "a")})->stopped);
    EXPECT_FALSE(read({plain(succeeded_id, "b"), plain(stopped_id, "a"), plain(succeeded_id, "a")})->stopped);
}

} // namespace
} // namespace p2prc::process
