#include "process/command_drop_in.h"

#include <fmt/format.h>

namespace p2prc::process {
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

Result<void> check_command(const std::vector<std::string>& argv) {
    if (argv.empty() || !is_plain_program(argv.front()))
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("'{}' cannot be run: a program is a path or a name of letters and digits",
                                argv.empty() ? "" : argv.front()));
    for (const auto& argument : argv)
        if (argument.find('\0') != std::string::npos)
            return fail(ErrorCode::InvalidSpec,
                        fmt::format("an argument of '{}' contains a NUL byte", argv.front()));
    return {};
}

Result<void> append_command(std::string& text, std::string_view key, const std::vector<std::string>& argv,
                            As as = As::Unit) {
    if (auto fit = check_command(argv); !fit) return fit;
    text += key;
    text += as == As::Root ? "=:+" : "=:"; // `:` turns the expansion of $VARIABLES off
    for (bool first = true; const auto& argument : argv) {
        if (!first) text += ' ';
        first = false;
        append_quoted(text, argument);
    }
    text += '\n';
    return {};
}

// What ended by itself has no number any more, and needs no stop command.
constexpr const char* while_it_runs = R"([ -z "$MAINPID" ] || exec "$@")";
// systemd sends SIGTERM as soon as its stop commands have ended. A command that only asks is followed
// by this one, which ends with the process, or shortly before the timeout of systemd. `tail`, as a
// shell cannot wait for what is not its child.
constexpr const char* until_it_ends =
    R"([ -z "$MAINPID" ] || timeout 29 tail --pid="$MAINPID" -s 0.1 -f /dev/null; exit 0)";

} // namespace

Result<std::string> command_drop_in(const RunSpec& run) {
    std::string text = "[Service]\n";
    auto command = run.command;
    if (run.shell) command.insert(command.begin(), {"/bin/sh", "-c"});
    if (const auto done = append_command(text, "ExecStart", command); !done)
        return std::unexpected(done.error());
    if (run.kill.empty()) return text;
    if (const auto fit = check_command(run.kill); !fit) return std::unexpected(fit.error());
    std::vector<std::string> kill{"/bin/sh", "-c", while_it_runs, "run.kill"};
    kill.insert(kill.end(), run.kill.begin(), run.kill.end());
    const std::vector<std::string> wait{"/bin/sh", "-c", until_it_ends};
    for (const auto& stop : {kill, wait})
        if (const auto done = append_command(text, "ExecStop", stop); !done)
            return std::unexpected(done.error());
    return text;
}

Result<std::string> command_line_drop_in(std::string_view key, const std::vector<std::string>& command,
                                         As as) {
    std::string text = "[Service]\n";
    if (const auto done = append_command(text, key, command, as); !done) return std::unexpected(done.error());
    return text;
}

} // namespace p2prc::process
