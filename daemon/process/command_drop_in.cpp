#include "daemon/process/command_drop_in.h"

#include <fmt/format.h>

namespace p2prc::daemon {
namespace {

// One argument, systemd.syntax(7): C escapes within double quotes, `%` doubled against specifiers.
void append_quoted(std::string& line, std::string_view argument) {
    line += '"';
    for (const char character : argument) {
        const auto byte = static_cast<unsigned char>(character);
        if (character == '"' || character == '\\') line += '\\';
        if (character == '%') line += '%';
        if (byte < 0x20 || byte == 0x7f)
            line += fmt::format("\\x{:02x}", byte);
        else
            line += character;
    }
    line += '"';
}

bool is_plain_program(std::string_view program) {
    if (program.empty() || program.find('\0') != std::string_view::npos) return false;
    const char first = program.front();
    return first == '/' || first == '_' || (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') ||
           (first >= 'A' && first <= 'Z');
}

Result<void> append_command(std::string& text, std::string_view key, const std::vector<std::string>& argv) {
    if (argv.empty() || !is_plain_program(argv.front()))
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("'{}' cannot be run: a program is a path or a name of letters and digits",
                                argv.empty() ? "" : argv.front()));
    for (const auto& argument : argv)
        if (argument.find('\0') != std::string::npos)
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("an argument of '{}' contains a NUL byte", argv.front()));
    text += key;
    text += "=:"; // `:` turns the expansion of $VARIABLES off
    for (bool first = true; const auto& argument : argv) {
        if (!first) text += ' ';
        first = false;
        append_quoted(text, argument);
    }
    text += '\n';
    return {};
}

} // namespace

Result<std::string> command_drop_in(const RunSpec& run) {
    std::string text = "[Service]\n";
    auto command = run.command;
    if (run.shell) command.insert(command.begin(), {"/bin/sh", "-c"});
    if (const auto done = append_command(text, "ExecStart", command); !done)
        return std::unexpected(done.error());
    if (!run.kill.empty())
        if (const auto done = append_command(text, "ExecStop", run.kill); !done)
            return std::unexpected(done.error());
    return text;
}

} // namespace p2prc::daemon
