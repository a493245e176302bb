// How a run ended, from what PID 1 logged of its unit.
#pragma once

#include "process/exit_reason.h"

#include <cstdint>
#include <optional>
#include <string>

namespace p2prc::process {

struct LoggedEnd {
    std::string invocation;
    UnitResult result;    // as the unit's properties had it, but for the state in which a timeout came
    bool stopped = false; // a stop job ended after it: systemd 252 logs this for an automatic restart, too
    std::uint64_t at = 0; // microseconds since 1970
    friend bool operator==(const LoggedEnd&, const LoggedEnd&) = default;
};

// One entry of PID 1 about a unit; members are empty where it has no such field.
struct UnitEntry {
    std::string message_id;
    std::string invocation;  // INVOCATION_ID
    std::string unit_result; // UNIT_RESULT
    std::string command;     // COMMAND: "ExecStart" for the main process
    std::string exit_code;   // EXIT_CODE: "exited", "killed", "dumped"
    std::string exit_status; // EXIT_STATUS: a number, a signal's too
    std::uint64_t at = 0;
};

// Takes a unit's entries, newest first, until it knows the last end of another run than `running`.
class LoggedEndReader {
  public:
    explicit LoggedEndReader(std::string running) : running_(std::move(running)) {}

    // False: it has what it wanted, older entries tell nothing more.
    bool add(const UnitEntry& entry);
    std::optional<LoggedEnd> end() const;
    // Whether the entries reach the present run. Until they do, those of the run before it may be missing.
    bool reached_running() const { return running_.empty() || reached_; }

  private:
    std::string running_;
    bool reached_ = false;
    bool stopped_ = false;
    std::optional<LoggedEnd> end_;
};

} // namespace p2prc::process
