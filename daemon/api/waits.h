// Waiting until a process has become what was asked of it, by the statuses that come in.
#pragma once

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
    Running, // or it has run to its end
    Stopped,
    Gone, // killed
};

struct Awaited {
    std::uint32_t id = 0;
    std::string name;
    std::string node;
    std::uint64_t change = 0; // statuses of earlier changes say nothing yet
    Goal goal = Goal::Running;
};

class Waits {
  public:
    // `view` and its states must outlive it and all that waits.
    Waits(boost::asio::any_io_executor executor, const View& view);

    // Returns when it is so. Otherwise Failed with the reason and its last log lines, Unreachable when the
    // node is lost meanwhile, Conflict when somebody killed it meanwhile.
    boost::asio::awaitable<Result<void>> until(Awaited awaited);

    // Returns when the process's record is in the replica: a commit comes back by the watch, after its
    // answer.
    boost::asio::awaitable<Result<void>> until_recorded(Awaited awaited);

    // What `until` waits for at most; units have their own, shorter limits.
    std::chrono::seconds limit{300};

  private:
    using Verdict = std::function<std::optional<Result<void>>(const View&, const Awaited&)>;
    boost::asio::awaitable<Result<void>> watch(Awaited awaited, Verdict judge);

    boost::asio::any_io_executor executor_;
    const View* view_;
};

// What the present state means for one who waits: nothing yet, done, or the error.
std::optional<Result<void>> judge(const View& view, const Awaited& awaited);

} // namespace p2prc::daemon
