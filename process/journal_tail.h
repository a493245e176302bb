// What the journal says about a process: its last lines, and how a run ended while p2prcd was not running.
#pragma once

#include "process/logged_end.h"

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::process {

// When the machine was off, in microseconds since 1970: from the last entry of the journal before this boot
// to the first entry of this boot.
struct BootGap {
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    friend bool operator==(const BootGap&, const BootGap&) = default;
};

// A seam: reading the journal needs files, so it is done beside the loop, and not at all in unit tests.
class JournalTail {
  public:
    virtual ~JournalTail() = default;
    // The last lines that process `process` wrote in `unit`, in the run `invocation` (any run when empty),
    // oldest first.
    virtual boost::asio::awaitable<std::vector<std::string>>
    last_lines(std::string unit, std::uint32_t process, std::string invocation, std::size_t count) = 0;
    // The last line that `unit` has written since `since`, in microseconds since 1970; empty: none.
    virtual boost::asio::awaitable<std::string> last_line(std::string unit, std::uint64_t since) = 0;
    // The last end of `unit` in this boot, of another run than `running`, which has not ended (empty: none is
    // running). Nothing: it has none, or the journal is lost.
    virtual boost::asio::awaitable<std::optional<LoggedEnd>> logged_end(std::string unit,
                                                                        std::string running) = 0;
    // The gap before this boot. Nothing: the journal has no entry before it, or the clock was set back.
    virtual boost::asio::awaitable<std::optional<BootGap>> boot_gap() = 0;
};

// Over sd-journal, on one thread of its own.
std::unique_ptr<JournalTail> make_journal_tail();

} // namespace p2prc::process
