#include "daemon/api/journal_reader.h"

#include "core/text.h"

#include <fmt/format.h>
#include <systemd/sd-journal.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <span>
#include <string_view>

namespace p2prc::daemon {
namespace {

constexpr std::size_t piece_size = std::size_t{24} << 10U;
constexpr std::size_t longest_message = std::size_t{7} << 10U;

std::string field(sd_journal* journal, const char* name) {
    const void* data = nullptr;
    std::size_t size = 0;
    if (sd_journal_get_data(journal, name, &data, &size) < 0) return {};
    std::string_view text(static_cast<const char*>(data), size);
    text.remove_prefix(std::min(text.size(), text.find('=') + 1));
    return std::string(text);
}

std::string time_text(std::uint64_t microseconds) {
    const auto seconds = static_cast<std::time_t>(microseconds / 1'000'000);
    std::tm parts{};
    localtime_r(&seconds, &parts);
    char text[40];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &parts)};
}

// Empty for an entry that is left out.
std::string text_of(sd_journal* journal, std::span<const std::string> units) {
    auto message = field(journal, "MESSAGE");
    if (std::ranges::find(units, field(journal, "_SYSTEMD_UNIT")) == units.end()) {
        message = words_about(message);
        if (message.empty()) return {};
    }
    std::uint64_t time = 0;
    sd_journal_get_realtime_usec(journal, &time);
    std::string program = field(journal, "SYSLOG_IDENTIFIER");
    if (program.empty()) program = field(journal, "_COMM");
    std::string pid = field(journal, "_PID");
    if (pid.empty()) pid = field(journal, "SYSLOG_PID");
    if (!pid.empty()) pid = "[" + pid + "]";
    return entry_text(fmt::format("{} {} {}{}: ", time_text(time), field(journal, "_HOSTNAME"), program, pid),
                      message);
}

// As journalctl --unit= does (systemd 252, add_matches_for_unit), and beyond that what systemd says between
// fork and exec: why it could not be executed. That has UNIT=, and is not yet in the unit's control group.
int add_matches(sd_journal* journal, std::span<const std::string> units) {
    const auto add = [journal](const std::string& match) {
        return sd_journal_add_match(journal, match.data(), match.size());
    };
    int r = 0;
    for (const auto& unit : units) {
        if (r >= 0) r = sd_journal_add_disjunction(journal);
        if (r >= 0) r = add("_SYSTEMD_UNIT=" + unit);
        // Root alone is believed to speak of it.
        for (const auto* name : {"UNIT=", "COREDUMP_UNIT=", "OBJECT_SYSTEMD_UNIT="}) {
            if (r >= 0) r = sd_journal_add_disjunction(journal);
            if (r >= 0) r = add(name + unit);
            if (r >= 0) r = add("_UID=0");
        }
    }
    return r;
}

std::string cursor_of(sd_journal* journal) {
    char* text = nullptr;
    if (sd_journal_get_cursor(journal, &text) < 0) return {};
    std::string cursor(text);
    std::free(text);
    return cursor;
}

} // namespace

void JournalCloser::operator()(sd_journal* journal) const noexcept {
    sd_journal_close(journal);
}

std::string words_about(std::string_view message) {
    if (message.find("Foreign BPF program already exists") != std::string_view::npos) return {};
    return "-- " + std::string(message);
}

std::string entry_text(std::string_view head, std::string_view message) {
    const std::string prefix = text::for_terminal(head);
    std::string result = prefix;
    std::string lines(message);
    std::ranges::replace(lines, '\r', '\n');
    while (lines.ends_with('\n'))
        lines.pop_back();
    const auto kept = text::cut(lines, longest_message);
    std::size_t columns = 0; // of the indentation: characters, not bytes
    for (const char c : prefix)
        columns += (static_cast<unsigned char>(c) & 0xc0U) != 0x80U ? 1 : 0;
    for (const char c : text::for_terminal(kept, text::Lines::Keep)) {
        result += c;
        if (c == '\n') result.append(columns, ' ');
    }
    return result + (kept.size() < lines.size() ? " [...]\n" : "\n");
}

Result<void> JournalReader::open() {
    const auto failed = [this](int r) {
        journal_.reset();
        return std::unexpected(system_error("reading the journal", -r));
    };
    sd_journal* opened = nullptr;
    if (const int r = sd_journal_open(&opened, SD_JOURNAL_LOCAL_ONLY); r < 0) return failed(r);
    journal_.reset(opened);
    if (const int r = add_matches(opened, units_); r < 0) return failed(r);
    at_unread_ = false;
    int r = 0;
    if (!cursor_.empty()) {
        r = sd_journal_seek_cursor(opened, cursor_.c_str());
        if (r >= 0) r = sd_journal_next(opened);
        // When its entry is gone, the place is that of the next one there is.
        at_unread_ = r > 0 && sd_journal_test_cursor(opened, cursor_.c_str()) <= 0;
    } else if (begun_) {
        r = sd_journal_seek_head(opened); // there was none
    } else {
        r = sd_journal_seek_tail(opened);
        if (r >= 0) r = sd_journal_previous_skip(opened, std::max<std::uint32_t>(lines_, 1));
        if (r == 0)
            r = sd_journal_seek_head(opened);
        else
            at_unread_ = r > 0 && lines_ > 0;
        if (r > 0 && !at_unread_) cursor_ = cursor_of(opened);
        begun_ = true;
    }
    if (r < 0) return failed(r);
    return {};
}

Result<std::string> JournalReader::read() {
    if (!journal_)
        if (auto opened = open(); !opened) return std::unexpected(opened.error());
    std::string text;
    while (text.size() < piece_size) {
        if (!at_unread_) {
            const int r = sd_journal_next(journal_.get());
            if (r < 0) return std::unexpected(system_error("reading the journal", -r));
            if (r == 0) break;
        }
        at_unread_ = false;
        text += text_of(journal_.get(), units_);
        cursor_ = cursor_of(journal_.get());
    }
    return text;
}

} // namespace p2prc::daemon
