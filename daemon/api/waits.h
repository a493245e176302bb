// Waits until a process has reached the requested state, by following its status.
#pragma once

#include "core/process_status.h"
#include "daemon/api/view.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace p2prc::daemon {

enum class Goal {
    Started, // it runs, or has run to its end
    Ready,   // it runs and is ready (process/health.h), or has run to its end as it should
    Stopped,
    Gone, // killed
    Paused,
    Resumed, // not paused any more, whatever it is now
};

// How long a caller waits, and for what, who starts something.
struct WaitFor {
    Goal goal = Goal::Ready;
    std::optional<std::chrono::seconds> timeout = {}; // nothing: as wait_time() says
};

// A minute, or as long as its file lets it take to become ready, and to be stopped if it does not.
std::chrono::seconds wait_time(const WaitFor& wait, const ProcessSpec& spec);

// The same for an update, which may have to go back, and has to stay up for a while.
std::chrono::seconds update_wait_time(const WaitFor& wait, const ProcessSpec& spec);

// From options `until` s ("ready" or "started") and `timeout_seconds` t. InvalidSpec names what is wrong.
Result<WaitFor> wait_options(const Json& options);

struct Awaited {
    std::uint32_t id = 0;
    std::string name;
    std::string node;
    std::uint64_t change = 0;   // statuses of earlier changes say nothing yet
    std::uint32_t revision = 0; // that an update makes; 0: none
    Goal goal = Goal::Ready;
    // Stopping has its own time limits.
    std::chrono::seconds timeout{300};
    // Of a run that was there before: that it had stopped and was started again by itself is not news.
    std::uint32_t restarts = 0;
    Boxed<StopReason> reason = {};
};

class Waits {
  public:
    // `view` and its states must outlive it and all that waits.
    Waits(boost::asio::any_io_executor executor, const View& view);

    // Returns when it is so. Otherwise Failed with the reason and its last log lines, or with what it was
    // waited for; Unreachable when the node is lost meanwhile, Conflict when somebody killed it meanwhile.
    boost::asio::awaitable<Result<void>> until(Awaited awaited);

    // Returns when the process's record is in the replica: a commit comes back by the watch, after its
    // answer.
    boost::asio::awaitable<Result<void>> until_recorded(Awaited awaited);

  private:
    using Verdict = std::function<std::optional<Result<void>>(const View&, const Awaited&)>;
    boost::asio::awaitable<Result<void>> watch(Awaited awaited, Verdict judge);

    boost::asio::any_io_executor executor_;
    const View* view_;
};

// What the present state means for one who waits: nothing yet, done, or the error.
std::optional<Result<void>> judge(const View& view, const Awaited& awaited);

} // namespace p2prc::daemon
