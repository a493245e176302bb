// Keeps the registry's copy of what this node alone writes equal to it: whole at first, then what changes.
#pragma once

#include "daemon/gateway.h"
#include "daemon/state/own_state.h"
#include "daemon/state/replica.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace p2prc::daemon {

class Upload {
  public:
    // Begins at once; ends when it is destroyed. The gateway outlives it.
    Upload(boost::asio::any_io_executor executor, Gateway& gateway, OwnState& own, const Replica& replica);
    ~Upload();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
