// logs: the journal of a process, from whichever node it runs on.
#include "cli/daemon.h"
#include "cli/log_line.h"
#include "cli/output.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "core/text.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

namespace p2prc::cli {
namespace {

struct LogOptions {
    std::string process;
    std::uint32_t lines = 100;
    bool follow = false;
    bool deploy = false;
};

Json document_of(LogLines& lines, std::string_view line) {
    const auto text = text::for_bus(line);
    const auto parts = lines.parse(text);
    return {{"line", text},
            {"time", parts.time.empty() ? Json(nullptr) : Json(parts.time)},
            {"text", parts.text}};
}

// The node that sends it has made it fit for terminals, if it is an honest one. What goes into a pipe or a
// file comes to a terminal in the end: `p2prc logs web | grep ready`. Returns why no more will come.
std::optional<Error> print_lines(std::string& pending, LogLines& lines, bool json) {
    std::optional<Error> ended;
    std::size_t start = 0;
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', start)) {
        const auto line = std::string_view(pending).substr(start, end - start);
        if (auto why = end_of_log(line))
            ended = std::move(why);
        else if (json)
            fmt::print("{}\n", json_text(document_of(lines, line), -1));
        else
            fmt::print("{}\n", text::for_terminal(line));
        start = end + 1;
    }
    pending.erase(0, start);
    std::fflush(stdout);
    return ended;
}

// Whether there is something to read; false when nobody reads our output any more (`p2prc logs -f | head`),
// which a quiet log would not tell before its next line.
bool wait_for_input(int stream) {
    std::array<pollfd, 2> watched{pollfd{stream, POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0}};
    while (poll(watched.data(), watched.size(), -1) < 0)
        if (errno != EINTR) return true;
    return watched[0].revents != 0 || (watched[1].revents & (POLLERR | POLLHUP)) == 0;
}

Result<int> logs(const LogOptions& options, Context& context) {
    Daemon daemon;
    auto stream = daemon.logs(options.process, options.lines, options.follow, options.deploy);
    if (!stream) return std::unexpected(stream.error());
    std::string pending;
    LogLines lines;
    std::array<char, 16384> buffer{};
    while (std::ferror(stdout) == 0 && wait_for_input(stream->get())) {
        const auto got = ::read(stream->get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return std::unexpected(system_error("reading the log", errno));
        if (got == 0) break;
        pending.append(buffer.data(), static_cast<std::size_t>(got));
        if (auto ended = print_lines(pending, lines, context.json)) return std::unexpected(*ended);
    }
    if (!pending.empty()) {
        pending.push_back('\n');
        if (auto ended = print_lines(pending, lines, context.json)) return std::unexpected(*ended);
    }
    return 0;
}

} // namespace

void add_log_verbs(CLI::App& app, Action& action) {
    auto* verb = app.add_subcommand("logs", "print the journal of a process");
    auto options = std::make_shared<LogOptions>();
    verb->add_option("ID|NAME|DOMAIN", options->process, "the process")
        ->required()
        ->transform(url_as_domain());
    verb->add_flag("-f,--follow", options->follow, "keep printing new lines (Ctrl-C to stop)");
    verb->add_option("-n,--lines", options->lines, "how many past lines to print (default 100)")
        ->type_name("NUMBER")
        ->check(number_between(0, 1000000));
    verb->add_flag("--deploy", options->deploy, "what its deployer has written, instead of what it has");
    verb->callback([&action, options] { action = [options](Context& c) { return logs(*options, c); }; });
}

} // namespace p2prc::cli
