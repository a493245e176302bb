#include "process/owner_failure.h"

#include "core/counted.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace p2prc::process {
namespace {

bool ended_as(const StopReason& reason, StopKind kind) {
    return reason.kind == kind || (reason.kind == StopKind::StartLimit && reason.cause == kind);
}

// strerror(EAGAIN), and what shells and runtimes say instead.
bool tells_of_refused_fork(std::string_view line) {
    static constexpr std::array<std::string_view, 5> words{"Resource temporarily unavailable", "Cannot fork",
                                                           "can't fork", "can't start new thread", "EAGAIN"};
    return std::ranges::any_of(words, [line](std::string_view word) { return line.contains(word); });
}

} // namespace

std::string owner_failure(const StopReason& reason, const LimitsSpec& limits, std::string_view owner) {
    if (limits.memory_bytes && ended_as(reason, StopKind::OomKill))
        return fmt::format("all that '{}' has spun on this machine may use {} MiB of memory together", owner,
                           *limits.memory_bytes >> 20U);
    const bool failed = ended_as(reason, StopKind::ExitCode) || ended_as(reason, StopKind::Signal) ||
                        ended_as(reason, StopKind::CoreDump);
    if (limits.tasks && failed && std::ranges::any_of(reason.log, tells_of_refused_fork))
        return fmt::format("all that '{}' has spun on this machine may have {} together", owner,
                           counted(*limits.tasks, "task", "tasks"));
    return {};
}

} // namespace p2prc::process
