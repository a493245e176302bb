// What the processes of each owner may use together: properties of their slice.
#pragma once

#include "process/systemd.h"
#include "state/own_state.h"

#include <boost/asio/awaitable.hpp>

#include <set>
#include <string>

namespace p2prc::process {

class OwnerSlices {
  public:
    // Both must outlive it.
    OwnerSlices(Systemd& systemd, state::OwnState& own) : systemd_(systemd), own_(own) {}

    // Has systemd keep the slice of that owner to what is noted for it (state/owner_limits.h), or to nothing.
    // It counts at once, also while nothing runs there, and until the machine boots.
    boost::asio::awaitable<Result<void>> apply(std::string owner);
    // The same, where it has failed before: what would run without them is not started.
    boost::asio::awaitable<Result<void>> ensure(std::string owner);

  private:
    std::set<std::string> failed_; // slices
    Systemd& systemd_;
    state::OwnState& own_;
};

} // namespace p2prc::process
