// The command line of a program that is not for people's daily use: one form of --help, --version and of what
// is said about a mistake.
#pragma once

#include <optional>
#include <string_view>

namespace CLI {
class App;
}

namespace p2prc::net {

// Of a command line that cannot be parsed; of getopt(3)'s programs, too.
inline constexpr int usage_status = 2;

// Adds --version to `app`, which has the program's name, and parses. Returns the exit status if there is
// nothing more to do: --help or --version was asked for, or something is wrong and this has said what.
std::optional<int> parse_command_line(CLI::App& app, int argc, const char* const* argv);

// What is wrong, and where to read how it is right. Returns the exit status.
int report_usage(const CLI::App& app, std::string_view message);

} // namespace p2prc::net
