// Uploads this node's own state to the registry: first all of it, then changes.
#pragma once

#include "daemon/gateway.h"
#include "daemon/state/own_state.h"
#include "daemon/state/replica.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <optional>

namespace p2prc::daemon {

class Upload {
  public:
    // Starts at once and ends when it is destroyed. The gateway must outlive it.
    Upload(boost::asio::any_io_executor executor, Gateway& gateway, OwnState& own, const Replica& replica);
    ~Upload();

    // Why the registry does not have all of it; nothing while it has, or has not answered yet.
    std::optional<Error> trouble() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
