// top: what processes use, again and again: a screen on a terminal, JSON lines elsewhere.
#include "cli/daemon.h"
#include "cli/output.h"
#include "cli/terminal_screen.h"
#include "cli/top.h"
#include "cli/usage.h"
#include "cli/verbs.h"
#include "net/clock.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace p2prc::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct TopOptions {
    std::string process;
    std::string node;
    std::string sort{default_top_sort};
    double interval = 1;
    std::uint32_t rounds = 0; // 0: until interrupted

    Clock::duration pause() const {
        return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(interval));
    }
};

class Top {
  public:
    explicit Top(const TopOptions& options) : options_(options), sort_(top_sort_from_name(options.sort)) {
        if (!options.process.empty()) asked_["process"] = options.process;
        if (!options.node.empty()) asked_["node"] = options.node;
    }

    // Asks the nodes.
    Result<void> measure() {
        auto usage = daemon_.call(&dbus::Client::usage, asked_);
        if (!usage) return std::unexpected(usage.error());
        rows_ = rates_.take(*usage);
        return {};
    }

    Result<int> lines() {
        auto next = Clock::now();
        for (std::uint32_t round = 1; options_.rounds == 0 || round <= options_.rounds; ++round) {
            next += options_.pause();
            if (!wait_for_round(next)) return 0;
            if (const auto measured = measure(); !measured) return std::unexpected(measured.error());
            print_round(round);
        }
        return 0;
    }

    Result<int> screen() {
        auto screen = TerminalScreen::open();
        if (!screen) return std::unexpected(screen.error());
        auto next = Clock::now() + options_.pause();
        for (std::uint32_t round = 0;;) {
            draw(*screen);
            if (options_.rounds != 0 && round == options_.rounds) return 0;
            const auto event = screen->wait_until(next);
            if (event == TerminalScreen::Event::Quit) return 0;
            if (event == TerminalScreen::Event::Key && take_key(screen->key())) return 0;
            if (event != TerminalScreen::Event::Timeout) continue;
            // p2prcd may be on its way, as in an upgrade: the screen stays.
            const auto measured = measure();
            trouble_ = measured ? "" : measured.error().message;
            ++round;
            next = std::max(next + options_.pause(), Clock::now());
        }
    }

  private:
    // False: nobody reads any more, as in `p2prc top | head`.
    static bool wait_for_round(Clock::time_point time) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
        pollfd reader{STDOUT_FILENO, 0, 0};
        return poll(&reader, 1, static_cast<int>(std::max<decltype(left)>(left, 0))) == 0 &&
               std::ferror(stdout) == 0;
    }

    void print_round(std::uint32_t round) {
        sort_top(rows_, sort_);
        const auto at = net::now_rfc3339();
        for (const auto& row : rows_) {
            Json line = row;
            line["at"] = at;
            line["round"] = round;
            fmt::print("{}\n", json_text(line, -1));
        }
        std::fflush(stdout);
    }

    void draw(const TerminalScreen& screen) {
        sort_top(rows_, sort_);
        const auto size = screen.size();
        const auto title = fmt::format("p2prc top, every {:g} s, by {}", options_.interval,
                                       top_sort_names()[static_cast<std::size_t>(sort_)]);
        screen.draw(top_lines(rows_, {title, trouble_, sort_, size.columns, size.lines}));
    }

    // True: quit. A letter sorts by what begins with it.
    bool take_key(char key) {
        if (key == 'q' || key == 'Q') return true;
        switch (key) {
        case 'c':
            sort_ = TopSort::Cpu;
            break;
        case 'm':
            sort_ = TopSort::Memory;
            break;
        case 'i':
            sort_ = TopSort::Io;
            break;
        case 't':
            sort_ = TopSort::Tasks;
            break;
        case 'n':
            sort_ = TopSort::Connections;
            break;
        case 'b':
            sort_ = TopSort::Bytes;
            break;
        default:
            break;
        }
        return false;
    }

    TopOptions options_;
    TopSort sort_;
    Daemon daemon_;
    Json asked_ = Json::object();
    TopRates rates_;
    Json rows_ = Json::array();
    std::string trouble_;
};

Result<int> top(const TopOptions& options, Context& context) {
    Top top(options);
    // What is wrong with the question is said before the screen is up; rates need a first measurement.
    if (const auto measured = top.measure(); !measured) return std::unexpected(measured.error());
    return !context.json && TerminalScreen::possible() ? top.screen() : top.lines();
}

std::string is_interval(const std::string& text) {
    double seconds = 0;
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, seconds);
    if (read.ec != std::errc{} || read.ptr != end) return fmt::format("'{}' is not a number", text);
    return seconds >= 0.5 && seconds <= 3600 ? "" : fmt::format("{} is not between 0.5 and 3600", text);
}

} // namespace

void add_top_verbs(CLI::App& app, Action& action) {
    auto* verb = app.add_subcommand("top", "watch what processes use");
    auto options = std::make_shared<TopOptions>();
    auto* process = verb->add_option("ID|NAME|DOMAIN", options->process, "this process alone")
                        ->transform(url_as_domain());
    verb->add_option("--node", options->node, "the processes of this node alone")
        ->type_name("NODE")
        ->excludes(process);
    verb->add_option("--interval", options->interval, "seconds from one round to the next (default 1)")
        ->type_name("SECONDS")
        ->check(is_interval, "0.5-3600");
    verb->add_option("-n,--rounds", options->rounds, "end after so many rounds")
        ->type_name("ROUNDS")
        ->check(number_between(1, 1000000));
    verb->add_option("--sort", options->sort,
                     "cpu (the default), memory, io, tasks, connections or bytes: the largest first")
        ->type_name("KEY")
        ->check(one_of(top_sort_names()));
    verb->callback([&action, options] { action = [options](Context& c) { return top(*options, c); }; });
}

} // namespace p2prc::cli
