#include "net/command_line.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <string>

namespace p2prc::net {
namespace {

std::string message_of(const CLI::App& app, const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError))
        if (const auto extras = app.remaining(true); !extras.empty())
            return fmt::format("unknown argument '{}'", extras.front());
    std::string message = error.what();
    // "--routes: 1 required TEXT missing"
    if (error.get_name() == "ArgumentMismatch")
        return fmt::format("{} needs a value", message.substr(0, message.find(':')));
    return message;
}

} // namespace

std::optional<int> parse_command_line(CLI::App& app, int argc, const char* const* argv) {
    app.set_version_flag("--version", fmt::format("{} {}", app.get_name(), P2PRC_VERSION));
    try {
        app.parse(argc, argv);
        return std::nullopt;
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) return app.exit(error); // prints the help or the version
        return report_usage(app, message_of(app, error));
    }
}

int report_usage(const CLI::App& app, std::string_view message) {
    fmt::print(stderr, "{0}: {1}\n  see {0} --help\n", app.get_name(), message);
    return usage_status;
}

} // namespace p2prc::net
