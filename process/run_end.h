// Finds out how a run of a process ended: from what was seen of its unit, and from the journal.
#pragma once

#include "core/process_spec.h"
#include "core/process_status.h"
#include "core/stop_reason.h"
#include "process/exit_reason.h"
#include "process/journal_tail.h"
#include "process/observed_unit.h"
#include "process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::process {

// How a run ended.
struct RunResult {
    StopReason reason;               // with its log; without node, epoch and time
    std::optional<std::uint64_t> at; // microseconds since 1970, where only the journal tells; nothing: now
    bool known = true;               // false: nobody can tell any more
};

// The state after a run that ended like this and is not followed by another.
ProcessState state_after(StopKind kind) noexcept;

class RunEnd {
  public:
    static constexpr std::size_t log_lines = 10;

    // All of them must outlive it.
    RunEnd(boost::asio::any_io_executor loop, Systemd& systemd, JournalTail& journal)
        : loop_(std::move(loop))
        , systemd_(systemd)
        , journal_(journal) {}

    // The view of the unit where it is still there after all; nothing where it is not.
    boost::asio::awaitable<Result<std::optional<UnitView>>> still_there(std::string unit);

    // How the run that `seen` is about ended, of process `id`. `restart` is its policy; nothing: it has no
    // record.
    boost::asio::awaitable<RunResult> of(std::string unit, std::uint32_t id, SeenEnd seen,
                                         std::optional<Restart> restart);

    // How the run before `unit`'s ended, which systemd has forgotten. Nothing: the journal does not say.
    boost::asio::awaitable<std::optional<RunResult>> before(UnitView unit, std::uint32_t id);

    // The last lines of a run that was stopped, as the log of a reason.
    boost::asio::awaitable<std::vector<std::string>>
    log_of(std::string unit, std::uint32_t id, std::string invocation, std::size_t lines = log_lines);

    // Nothing is looked for any more.
    void stop() { stopped_ = true; }

  private:
    boost::asio::any_io_executor loop_;
    Systemd& systemd_;
    JournalTail& journal_;
    bool stopped_ = false;
};

} // namespace p2prc::process
