// Reads the entries of the units of a process from the system's journal, as text. Blocks: for a thread.
#pragma once

#include "core/error.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct sd_journal;

namespace p2prc::daemon {

struct JournalCloser {
    void operator()(sd_journal* journal) const noexcept;
};
using Journal = std::unique_ptr<sd_journal, JournalCloser>;

class JournalReader {
  public:
    // Starts with the last `lines` entries.
    JournalReader(std::vector<std::string> units, std::uint32_t lines)
        : units_(std::move(units))
        , lines_(lines) {}

    // The next entries, at most about 32 KiB of whole lines; empty: there are no more yet.
    Result<std::string> read();
    // Goes on in the files that there are now, with the entry after the last one that was read: a journal
    // that is open sees no files that come later.
    void reopen() { journal_.reset(); }

  private:
    Result<void> open();

    std::vector<std::string> units_;
    std::uint32_t lines_;
    Journal journal_;
    std::string cursor_;     // of the last entry that was read; empty: none yet
    bool begun_ = false;     // the first place was found
    bool at_unread_ = false; // the journal stands at an entry that was not read
};

// What others say about a process, systemd among them: marked, as it stands among the process's own lines.
// Empty for systemd's warning that it knows a BPF program of the unit already (252, bpf-foreign.c), which
// nobody can do anything about.
std::string words_about(std::string_view message);

// What journalctl --output=short-iso shows of an entry, in one or more lines, the further ones indented. A
// carriage return ends a line, and nothing moves a cursor.
std::string entry_text(std::string_view head, std::string_view message);

} // namespace p2prc::daemon
