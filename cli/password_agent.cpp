#include "cli/password_agent.h"

#include "net/fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <utility>

namespace p2prc::cli {

namespace {

constexpr int registration_timeout_ms = 10'000;

// Becomes the agent: it closes `notify` when it is registered, and ends with its parent, however that ends.
// --fallback: an agent of the person's desktop goes first.
[[noreturn]] void become_agent(pid_t parent, int notify) {
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::fcntl(notify, F_SETFD, 0);
    const std::string notify_fd = "--notify-fd=" + std::to_string(notify);
    if (::getppid() == parent) ::execlp("pkttyagent", "pkttyagent", notify_fd.c_str(), "--fallback", nullptr);
    ::_exit(127);
}

} // namespace

void PasswordAgent::start() {
    if (std::exchange(tried_, true) || ::geteuid() == 0 || ::isatty(STDIN_FILENO) == 0) return;
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
    const net::UniqueFd reader(ends[0]);
    net::UniqueFd writer(ends[1]);
    const pid_t self = ::getpid();
    child_ = ::fork();
    if (child_ == 0) become_agent(self, writer.get());
    writer.reset();
    pollfd registered{reader.get(), POLLIN, 0};
    if (child_ > 0) ::poll(&registered, 1, registration_timeout_ms);
}

PasswordAgent::~PasswordAgent() {
    if (child_ < 0) return;
    ::kill(child_, SIGTERM); // it restores the terminal
    ::kill(child_, SIGCONT); // also where it was stopped for reading in the background
    ::waitpid(child_, nullptr, 0);
}

} // namespace p2prc::cli
