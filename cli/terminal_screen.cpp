#include "cli/terminal_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace p2prc::cli {
namespace {

// Control sequences of xterm (ctlseqs), which every terminal of today knows, the kernel's console too: the
// alternate screen, no cursor, and lines that are cut and not wrapped, for characters of two columns.
constexpr std::string_view enter_screen = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view leave_screen = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view home = "\x1b[H";
constexpr std::string_view clear_rest_of_line = "\x1b[K";
constexpr std::string_view clear_below = "\x1b[J";

constexpr std::array watched{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};

void write_all(std::string_view text) {
    while (!text.empty()) {
        const auto sent = ::write(STDOUT_FILENO, text.data(), text.size());
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return; // nobody looks any more
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

} // namespace

bool TerminalScreen::possible() {
    const char* terminal = std::getenv("TERM");
    return isatty(STDOUT_FILENO) != 0 && terminal && std::string_view(terminal) != "dumb";
}

// Signals come through a descriptor, so that none ends the program while the screen is up.
Result<TerminalScreen> TerminalScreen::open() {
    std::fflush(stdout);
    sigset_t set, before;
    sigemptyset(&set);
    for (const int signal : watched)
        sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, &before);
    net::UniqueFd signals(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals) {
        const auto error = system_error("waiting for signals", errno);
        sigprocmask(SIG_SETMASK, &before, nullptr);
        return std::unexpected(error);
    }
    return TerminalScreen(std::move(signals), before);
}

TerminalScreen::TerminalScreen(net::UniqueFd signals, sigset_t before)
    : signals_(std::move(signals))
    , before_(before) {
    keys_ = isatty(STDIN_FILENO) != 0 && tcgetattr(STDIN_FILENO, &settings_) == 0;
    enter();
}

TerminalScreen::TerminalScreen(TerminalScreen&& other) noexcept
    : signals_(std::move(other.signals_))
    , before_(other.before_)
    , settings_(other.settings_)
    , keys_(other.keys_)
    , key_(other.key_) {}

TerminalScreen::~TerminalScreen() {
    if (!signals_) return; // moved from
    leave();
    signals_.reset();
    sigprocmask(SIG_SETMASK, &before_, nullptr); // what is pending is delivered now
}

void TerminalScreen::enter() {
    if (keys_) {
        termios raw = settings_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO); // ISIG stays: Ctrl-C is a signal
        raw.c_cc[VMIN] = 0;
        raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    }
    write_all(enter_screen);
}

void TerminalScreen::leave() const {
    write_all(leave_screen);
    if (keys_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings_);
}

TerminalScreen::Size TerminalScreen::size() const {
    winsize now{};
    Size size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &now) != 0) return size;
    if (now.ws_col > 0) size.columns = now.ws_col; // 0 by 0 is a terminal that does not know
    if (now.ws_row > 0) size.lines = now.ws_row;
    return size;
}

// In one write, and without clearing first: nothing flickers. No newline after the last line, which would
// scroll.
void TerminalScreen::draw(const std::vector<std::string>& lines) const {
    std::string text(home);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) text += "\r\n";
        text += lines[i];
        text += clear_rest_of_line;
    }
    text += clear_below;
    write_all(text);
}

TerminalScreen::Event TerminalScreen::take_signal() {
    signalfd_siginfo signal{};
    if (::read(signals_.get(), &signal, sizeof signal) != sizeof signal) return Event::Timeout;
    if (signal.ssi_signo == SIGWINCH) return Event::Resized;
    if (signal.ssi_signo != SIGTSTP) return Event::Quit;
    // Ctrl-Z: the shell gets its terminal as it was, and the screen comes back with `fg`.
    leave();
    raise(SIGSTOP);
    enter();
    return Event::Resized;
}

std::optional<TerminalScreen::Event> TerminalScreen::read_key() {
    const auto got = ::read(STDIN_FILENO, &key_, 1);
    if (got == 1) return Event::Key;
    if (got < 0 && errno == EINTR) return std::nullopt;
    return Event::Quit; // the terminal is gone
}

TerminalScreen::Event TerminalScreen::wait_until(std::chrono::steady_clock::time_point time) {
    while (true) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(time - std::chrono::steady_clock::now());
        std::array<pollfd, 3> files{pollfd{signals_.get(), POLLIN, 0}, pollfd{STDOUT_FILENO, 0, 0},
                                    pollfd{keys_ ? STDIN_FILENO : -1, POLLIN, 0}};
        const int ready =
            poll(files.data(), files.size(), left.count() > 0 ? static_cast<int>(left.count()) : 0);
        if (ready < 0 && errno != EINTR) return Event::Quit;
        if (ready <= 0) {
            if (std::chrono::steady_clock::now() >= time) return Event::Timeout;
            continue;
        }
        if (files[1].revents & (POLLERR | POLLHUP | POLLNVAL)) return Event::Quit;
        if (files[0].revents != 0)
            if (const auto event = take_signal(); event != Event::Timeout) return event;
        if (files[2].revents != 0)
            if (const auto event = read_key()) return *event;
    }
}

} // namespace p2prc::cli
