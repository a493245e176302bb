// A line of a log as p2prcd sends it, in its parts.
#pragma once

#include "core/error.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::cli {

struct LogLine {
    std::string time; // RFC 3339; of a further line of an entry, that of its first one
    std::string text; // behind "TIME HOST PROGRAM[PID]: "
};

// Why the rest of a log did not come, if this line says so: it is p2prcd's own, the last one. No line of a
// process is like it, as theirs begin with a time or with blanks.
std::optional<Error> end_of_log(std::string_view line);

class LogLines {
  public:
    // Lines in the order in which they came.
    LogLine parse(std::string_view line);

  private:
    std::string time_;
    std::size_t indentation_ = 0; // of the further lines, in characters
};

} // namespace p2prc::cli
