// What the journal holds about a process: its last lines, and how a run ended while nobody looked.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

// How PID 1 logged the end of a run.
enum class LoggedEnd {
    Unknown,  // nothing found
    Stopped,  // a stop job ended it
    ByItself, // it ended without one
};

// A seam: reading the journal needs files, so it is done beside the loop, and not at all in unit tests.
class JournalTail {
  public:
    virtual ~JournalTail() = default;
    // The last lines that process `process` wrote in `unit`, in the run `invocation` (any run when empty),
    // oldest first.
    virtual boost::asio::awaitable<std::vector<std::string>>
    last_lines(std::string unit, std::uint32_t process, std::string invocation, std::size_t count) = 0;
    // The last end of `unit` in this boot.
    virtual boost::asio::awaitable<LoggedEnd> logged_end(std::string unit) = 0;
};

// Over sd-journal, on one thread of its own.
std::unique_ptr<JournalTail> make_journal_tail();

} // namespace p2prc::daemon
