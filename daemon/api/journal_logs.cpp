#include "daemon/api/journal_logs.h"

#include "core/json_members.h"
#include "daemon/process/unit_names.h"
#include "net/fd.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <systemd/sd-id128.h>

#include <algorithm>
#include <csignal>
#include <utility>

extern char** environ;

namespace p2prc::daemon {

namespace asio = boost::asio;
using Descriptor = asio::posix::stream_descriptor;

namespace {

constexpr std::size_t piece_size = std::size_t{32} << 10U;
constexpr std::uint32_t most_lines = 100000;

// Waits for the end of a child without blocking the loop: its pidfd becomes readable.
asio::awaitable<void> reap(Descriptor pidfd, pid_t pid) {
    boost::system::error_code error;
    co_await pidfd.async_wait(Descriptor::wait_read, asio::redirect_error(asio::use_awaitable, error));
    waitpid(pid, nullptr, WNOHANG);
}

class JournalStream : public TextStream {
  public:
    JournalStream(asio::any_io_executor executor, net::UniqueFd output, net::UniqueFd pidfd, pid_t pid)
        : executor_(executor)
        , output_(executor, output.release())
        , pidfd_(std::move(pidfd))
        , pid_(pid) {}
    JournalStream(const JournalStream&) = delete;
    JournalStream& operator=(const JournalStream&) = delete;

    ~JournalStream() override {
        kill(pid_, SIGTERM); // not reaped yet, so the number is still its own
        Descriptor pidfd(executor_, pidfd_.release());
        asio::co_spawn(executor_, reap(std::move(pidfd), pid_),
                       net::ReportFailure("waiting for the end of journalctl"));
    }

    asio::awaitable<Result<std::optional<std::string>>> next() override {
        while (true) {
            // Whole lines; a line longer than a piece is cut.
            const auto end = pending_.rfind('\n');
            if (end != std::string::npos || pending_.size() >= piece_size || (ended_ && !pending_.empty())) {
                const std::size_t size = ended_ || end == std::string::npos ? pending_.size() : end + 1;
                std::string piece = pending_.substr(0, size);
                pending_.erase(0, size);
                co_return std::optional(std::move(piece));
            }
            if (ended_) co_return std::optional<std::string>();
            char buffer[4096];
            boost::system::error_code error;
            const std::size_t got = co_await output_.async_read_some(
                asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
            pending_.append(buffer, got);
            ended_ = static_cast<bool>(error);
        }
    }

  private:
    asio::any_io_executor executor_;
    Descriptor output_;
    net::UniqueFd pidfd_;
    pid_t pid_;
    std::string pending_;
    bool ended_ = false;
};

Result<std::unique_ptr<TextStream>> run_journalctl(const asio::any_io_executor& executor,
                                                   std::vector<std::string> arguments) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return std::unexpected(system_error("making a pipe for journalctl", errno));
    net::UniqueFd reader(ends[0]);
    const net::UniqueFd writer(ends[1]);
    std::vector<char*> argv;
    for (std::string& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), STDERR_FILENO);
    // Libraries open descriptors of their own, not all of which close by themselves.
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    pid_t pid = 0;
    const int error = posix_spawnp(&pid, "journalctl", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) return std::unexpected(system_error("starting journalctl", error));
    net::UniqueFd pidfd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) {
        const int saved = errno;
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
        return std::unexpected(system_error("watching journalctl", saved));
    }
    return std::make_unique<JournalStream>(executor, std::move(reader), std::move(pidfd), pid);
}

// As --unit= would (systemd 252, add_matches_for_unit), and beyond that what systemd says between fork and
// exec: why it could not be executed. That has UNIT=, and is not yet in the unit's cgroup.
void add_matches(std::vector<std::string>& arguments, const std::string& unit, const std::string& also) {
    const auto add = [&](std::initializer_list<std::string> matches) {
        arguments.insert(arguments.end(), matches);
        if (!also.empty()) arguments.push_back(also);
    };
    add({"_SYSTEMD_UNIT=" + unit});
    // Root alone is believed to speak of it.
    for (const auto* field : {"UNIT=", "COREDUMP_UNIT=", "OBJECT_SYSTEMD_UNIT="})
        add({"+", field + unit, "_UID=0"});
}

asio::awaitable<Result<std::unique_ptr<TextStream>>> open(asio::any_io_executor executor, const View* view,
                                                          Json params) {
    const auto name = json::member<std::string>(params, "process");
    const auto record = view->find_process(name);
    if (!record) co_return std::unexpected(record.error());
    if (record->node != view->node())
        co_return fail(ErrorCode::NotFound, "process '" + record->name + "' does not run on this node");
    const auto lines = std::min(json::member<std::uint32_t>(params, "lines", 100), most_lines);
    std::vector<std::string> arguments{"journalctl", "--quiet", "--no-pager", "--output=short-iso",
                                       "--lines=" + std::to_string(lines)};
    std::string machine_match;
    if (json::member<bool>(params, "follow")) {
        // systemd 252 follows the present boot alone, unless told to merge, and takes the boot's id from
        // /proc. Where a container has an id of its own, our sandbox uncovers the host's, and no entry has
        // that.
        arguments.insert(arguments.end(), {"--follow", "--merge"});
        sd_id128_t machine;
        char text[SD_ID128_STRING_MAX];
        if (sd_id128_get_machine(&machine) >= 0)
            machine_match = std::string("_MACHINE_ID=") + sd_id128_to_string(machine, text);
    }
    add_matches(arguments, unit_name(record->name), machine_match);
    co_return run_journalctl(executor, std::move(arguments));
}

} // namespace

OpenLogs journal_logs(asio::any_io_executor executor, const View& view) {
    return [executor, view = &view](Json params) { return open(executor, view, std::move(params)); };
}

} // namespace p2prc::daemon
