// The terminal as a screen that is redrawn: its own page, restored whatever ends the program.
#pragma once

#include "core/error.h"
#include "net/fd.h"

#include <signal.h>
#include <termios.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::cli {

class TerminalScreen {
  public:
    // Standard output is a terminal that can be drawn on.
    static bool possible();
    static Result<TerminalScreen> open();
    TerminalScreen(TerminalScreen&& other) noexcept;
    TerminalScreen& operator=(TerminalScreen&&) = delete;
    ~TerminalScreen();

    struct Size {
        std::size_t columns = 80;
        std::size_t lines = 24;
    };
    Size size() const;
    // Lines without controls that fit.
    void draw(const std::vector<std::string>& lines) const;

    enum class Event { Timeout, Key, Resized, Quit };
    // Waits for a key, a change of the size, a signal that ends the program, or the time.
    Event wait_until(std::chrono::steady_clock::time_point time);
    char key() const noexcept { return key_; } // of the last Event::Key

  private:
    explicit TerminalScreen(net::UniqueFd signals, sigset_t before);
    void enter();
    void leave() const;
    Event take_signal();
    std::optional<Event> read_key();

    net::UniqueFd signals_;
    sigset_t before_; // the signals that were blocked
    termios settings_{};
    bool keys_ = false; // standard input is the terminal, too
    char key_ = 0;
};

} // namespace p2prc::cli
