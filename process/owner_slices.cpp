#include "process/owner_slices.h"

#include "process/unit_names.h"
#include "state/owner_limits.h"

namespace p2prc::process {

namespace asio = boost::asio;

// systemd loads a slice by its name alone, and keeps what is set of it in /run/systemd/system.control.
asio::awaitable<Result<void>> OwnerSlices::apply(std::string owner) {
    const auto limit = state::OwnerLimits(own_).of(owner);
    auto properties = limit_properties(limit ? limit->limits : LimitsSpec());
    auto slice = owner_slice(owner);
    co_return co_await systemd_.set_properties(std::move(slice), std::move(properties));
}

} // namespace p2prc::process
