// Uploads this node's own state to the registry: first all of it, then changes.
#pragma once

#include "registry/gateway.h"
#include "state/own_state.h"
#include "state/replica.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <optional>

namespace p2prc::daemon {

class Upload {
  public:
    // Starts at once and ends when it is destroyed. The gateway must outlive it.
    Upload(boost::asio::any_io_executor executor, registry::Gateway& gateway, state::OwnState& own,
           const state::Replica& replica);
    ~Upload();

    // Why the registry does not have all of it; nothing while it has, or has not answered yet.
    std::optional<Error> trouble() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
