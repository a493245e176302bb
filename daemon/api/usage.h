// Measures what the processes of this node use, when somebody watches, and makes the rows of ListUsage.
#pragma once

#include "core/process_usage.h"
#include "daemon/api/helpers.h"
#include "daemon/api/view.h"
#include "daemon/fleet/shared_answer.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>

namespace p2prc::daemon {

class UsageMeter {
  public:
    // Both must outlive it.
    UsageMeter(boost::asio::any_io_executor executor, const View& view, Helpers& helpers);

    // A NodeUsage of this node. Whoever asks again within a moment gets the same one.
    boost::asio::awaitable<Result<Json>> measure();

  private:
    boost::asio::awaitable<Result<Json>> measure_now();
    ProcessUsage usage_of(const ProcessRecord& record, const ProcessStatus& status) const;

    const View* view_;
    Helpers* helpers_;
    SharedAnswer shared_;
};

// A row of ListUsage. `usage`: what its node has measured; null where it did not answer.
Json usage_row(const View& view, const ProcessRecord& record, const NodeUsage* usage);

} // namespace p2prc::daemon
