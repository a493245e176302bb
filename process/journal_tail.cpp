#include "process/journal_tail.h"

#include "core/text.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string_view>

namespace p2prc::process {
namespace {

namespace asio = boost::asio;

constexpr std::size_t line_limit = 1024; // bytes; a reason is a hint, not an archive

struct JournalCloser {
    void operator()(sd_journal* journal) const { sd_journal_close(journal); }
};
using Journal = std::unique_ptr<sd_journal, JournalCloser>;

// Opened for each question: an open journal holds every file it has ever seen, also rotated ones.
Journal open_journal() {
    sd_journal* journal = nullptr;
    if (sd_journal_open(&journal, SD_JOURNAL_LOCAL_ONLY) < 0) return nullptr;
    return Journal(journal);
}

void match(const Journal& journal, const std::string& expression) {
    sd_journal_add_match(journal.get(), expression.data(), expression.size());
}

std::string field(const Journal& journal, const char* name) {
    const void* data = nullptr;
    std::size_t size = 0;
    if (sd_journal_get_data(journal.get(), name, &data, &size) < 0) return {};
    std::string_view value(static_cast<const char*>(data), size);
    value.remove_prefix(std::min(value.size(), value.find('=') + 1));
    // An application writes what it likes.
    const auto line = text::for_bus(value);
    return std::string(text::cut(line, line_limit));
}

std::uint64_t time_of(const Journal& journal) {
    std::uint64_t time = 0;
    sd_journal_get_realtime_usec(journal.get(), &time);
    return time;
}

// When PID 1 first spoke of a run; nothing: it is not in the journal any more.
std::optional<std::uint64_t> begin_of(const Journal& journal, const std::string& unit,
                                      const std::string& invocation) {
    match(journal, "UNIT=" + unit);
    match(journal, "INVOCATION_ID=" + invocation);
    match(journal, "_PID=1");
    std::optional<std::uint64_t> begin;
    if (sd_journal_seek_head(journal.get()) >= 0 && sd_journal_next(journal.get()) > 0)
        begin = time_of(journal);
    sd_journal_flush_matches(journal.get());
    return begin;
}

constexpr int lines_to_look_at = 5000;

// Its own output, and what systemd says between fork and exec: why it could not be executed. Until it is in
// the unit's cgroup that has only UNIT=, which root alone is believed. What PID 1 and p2prcd say about it is
// left out.
std::vector<std::string> read_last_lines(const std::string& unit, std::uint32_t process,
                                         const std::string& invocation, std::size_t count) {
    std::vector<std::string> lines;
    const auto journal = open_journal();
    if (!journal) return lines;
    // What came into a fleet logs under the id that it had before; its run is its own in any case.
    const auto begin = invocation.empty() ? std::nullopt : begin_of(journal, unit, invocation);
    match(journal, "_SYSTEMD_UNIT=" + unit);
    if (invocation.empty())
        match(journal, "FLEET_PROCESS=" + std::to_string(process));
    else if (!begin)
        match(journal, "_SYSTEMD_INVOCATION_ID=" + invocation);
    if (!invocation.empty()) {
        sd_journal_add_disjunction(journal.get());
        match(journal, "UNIT=" + unit);
        match(journal, "INVOCATION_ID=" + invocation);
        match(journal, "_UID=0");
    }
    if (sd_journal_seek_tail(journal.get()) < 0) return lines;
    for (int seen = 0;
         seen < lines_to_look_at && lines.size() < count && sd_journal_previous(journal.get()) > 0; ++seen) {
        if (begin) {
            if (time_of(journal) < *begin) break;
            // journald finds no run for what it reads after the process has gone: its very last words.
            const auto run = field(journal, "_SYSTEMD_INVOCATION_ID");
            if (!run.empty() && run != invocation) continue;
        }
        if (field(journal, "_PID") == "1") continue;
        lines.push_back(field(journal, "MESSAGE"));
    }
    std::ranges::reverse(lines);
    return lines;
}

// journald reads what a unit writes when it comes round to it. What comes later is not waited for.
constexpr auto output_delay = std::chrono::milliseconds(300);

std::string read_last_line(const std::string& unit, std::uint64_t since) {
    const auto journal = open_journal();
    if (!journal) return {};
    match(journal, "_SYSTEMD_UNIT=" + unit);
    for (const bool again : {false, true}) {
        if (again && sd_journal_wait(journal.get(), std::chrono::microseconds(output_delay).count()) < 0)
            return {};
        if (sd_journal_seek_tail(journal.get()) < 0) return {};
        if (sd_journal_previous(journal.get()) > 0 && time_of(journal) >= since)
            return field(journal, "MESSAGE");
    }
    return {};
}

constexpr int entries_to_look_at = 200;
// PID 1 hands its entries to journald without waiting until they are written.
constexpr auto journal_delay = std::chrono::seconds(2);

UnitEntry entry_of(const Journal& journal) {
    UnitEntry entry{field(journal, "MESSAGE_ID"),  field(journal, "INVOCATION_ID"),
                    field(journal, "UNIT_RESULT"), field(journal, "COMMAND"),
                    field(journal, "EXIT_CODE"),   field(journal, "EXIT_STATUS")};
    entry.at = time_of(journal);
    return entry;
}

// "_BOOT_ID=..." of this boot as the journal knows it: a service in a container may see its host's id. Empty:
// the journal is lost.
std::string this_boot(const Journal& journal) {
    std::uint64_t ignored = 0;
    sd_id128_t boot{};
    std::array<char, SD_ID128_STRING_MAX> boot_text{};
    if (!journal || sd_journal_seek_tail(journal.get()) < 0 || sd_journal_previous(journal.get()) <= 0 ||
        sd_journal_get_monotonic_usec(journal.get(), &ignored, &boot) < 0)
        return {};
    return std::string("_BOOT_ID=") + sd_id128_to_string(boot, boot_text.data());
}

std::optional<BootGap> read_boot_gap() {
    const auto journal = open_journal();
    const auto boot = this_boot(journal);
    if (boot.empty()) return {};
    match(journal, boot);
    if (sd_journal_seek_head(journal.get()) < 0 || sd_journal_next(journal.get()) <= 0) return {};
    BootGap gap;
    gap.to = time_of(journal);
    char* cursor = nullptr;
    if (sd_journal_get_cursor(journal.get(), &cursor) < 0) return {};
    const std::unique_ptr<char, decltype(&std::free)> owner(cursor, std::free);
    sd_journal_flush_matches(journal.get());
    // The entry before the first of this boot is the last of the one before it.
    if (sd_journal_seek_cursor(journal.get(), cursor) < 0 || sd_journal_next(journal.get()) <= 0 ||
        sd_journal_previous(journal.get()) <= 0)
        return {};
    gap.from = time_of(journal);
    if (gap.from == 0 || gap.from >= gap.to) return {};
    return gap;
}

std::optional<LoggedEnd> read_logged_end(const std::string& unit, const std::string& running) {
    const auto journal = open_journal();
    const auto boot = this_boot(journal);
    if (boot.empty()) return {};
    match(journal, "UNIT=" + unit);
    match(journal, "_PID=1");
    match(journal, boot);
    const auto deadline = std::chrono::steady_clock::now() + journal_delay;
    for (;;) {
        if (sd_journal_seek_tail(journal.get()) < 0) return {};
        LoggedEndReader reader(running);
        for (int seen = 0; seen < entries_to_look_at && sd_journal_previous(journal.get()) > 0; ++seen)
            if (!reader.add(entry_of(journal))) break;
        const auto left = std::chrono::duration_cast<std::chrono::microseconds>(
            deadline - std::chrono::steady_clock::now());
        if (reader.reached_running() || left.count() <= 0) return reader.end();
        if (sd_journal_wait(journal.get(), static_cast<std::uint64_t>(left.count())) < 0) return reader.end();
    }
}

// Runs `work` on the thread; the caller's loop goes on meanwhile.
template <class T>
asio::awaitable<T> on_thread(asio::thread_pool& thread, std::function<T()> work) {
    struct Answer {
        explicit Answer(const asio::any_io_executor& loop)
            : ready(loop, asio::steady_timer::time_point::max()) {}
        asio::steady_timer ready;
        T value{};
    };
    const auto loop = co_await asio::this_coro::executor;
    const auto answer = std::make_shared<Answer>(loop);
    asio::post(thread, [answer, loop, work = std::move(work)] {
        auto value = std::make_shared<T>(work());
        asio::post(loop, [answer, value] {
            answer->value = std::move(*value);
            answer->ready.cancel();
        });
    });
    boost::system::error_code ignored;
    co_await answer->ready.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return std::move(answer->value);
}

class SystemJournal : public JournalTail {
  public:
    ~SystemJournal() override { thread_.join(); }

    asio::awaitable<std::vector<std::string>> last_lines(std::string unit, std::uint32_t process,
                                                         std::string invocation, std::size_t count) override {
        return on_thread<std::vector<std::string>>(
            thread_, [=] { return read_last_lines(unit, process, invocation, count); });
    }

    asio::awaitable<std::string> last_line(std::string unit, std::uint64_t since) override {
        return on_thread<std::string>(thread_, [=] { return read_last_line(unit, since); });
    }

    asio::awaitable<std::optional<LoggedEnd>> logged_end(std::string unit, std::string running) override {
        return on_thread<std::optional<LoggedEnd>>(thread_, [=] { return read_logged_end(unit, running); });
    }

    asio::awaitable<std::optional<BootGap>> boot_gap() override {
        return on_thread<std::optional<BootGap>>(thread_, [] { return read_boot_gap(); });
    }

  private:
    asio::thread_pool thread_{1};
};

} // namespace

std::unique_ptr<JournalTail> make_journal_tail() {
    return std::make_unique<SystemJournal>();
}

} // namespace p2prc::process
