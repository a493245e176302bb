#include "process/owner_slices.h"

#include "process/unit_names.h"
#include "state/owner_limits.h"

namespace p2prc::process {

namespace asio = boost::asio;

// systemd loads a slice by its name alone, and keeps what is set of it in /run/systemd/system.control.
asio::awaitable<Result<void>> OwnerSlices::apply(std::string owner) {
    const state::OwnerLimits all(own_);
    const auto limit = all.of(owner);
    auto properties = limit_properties(limit ? limit->limits : LimitsSpec());
    auto slice = owner_slice(all.slice_name(owner));
    failed_.insert(slice); // until it is known to have been done
    auto set = co_await systemd_.set_properties(slice, std::move(properties));
    if (set) failed_.erase(slice);
    co_return set;
}

asio::awaitable<Result<void>> OwnerSlices::ensure(std::string owner) {
    if (failed_.empty() || !failed_.contains(owner_slice(state::OwnerLimits(own_).slice_name(owner))))
        co_return Result<void>{};
    co_return co_await apply(std::move(owner));
}

} // namespace p2prc::process
