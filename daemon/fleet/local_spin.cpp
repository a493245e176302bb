#include "daemon/fleet/local_spin.h"

#include "core/json_members.h"
#include "state/fleet_state.h"
#include "state/origins.h"

namespace p2prc::daemon {

namespace asio = boost::asio;

asio::awaitable<Result<Json>> spin_here(FleetControl& fleet, state::OwnState& own,
                                        const state::State& replica, std::string here, ProcessSpec spec,
                                        Json params) {
    co_await fleet.wait_back();
    auto& gateway = fleet.gateway();
    std::string method = "process.spin";
    if (!gateway.reachable()) co_return co_await gateway.request(std::move(method), std::move(params));
    state::Origins origins(own);
    const bool noted = origins.note(spec);
    if (const auto kept = co_await own.flush(); !kept) co_return std::unexpected(kept.error());
    auto answer = co_await gateway.request(std::move(method), std::move(params));
    // Without an answer in time it may have been agreed to all the same.
    const bool refused = !answer && answer.error().code != ErrorCode::Unreachable;
    if (answer && json::member<std::string>(*answer, "node") == here) {
        const auto id = json::member<std::uint32_t>(*answer, "id");
        const auto* known = replica.records().process(id);
        origins.bind(spec, id, json::member<std::uint32_t>(*answer, "revision"),
                     known ? known->accepted() : nullptr);
    } else if (noted && (answer || refused))
        origins.take_back(spec);
    co_return answer;
}

} // namespace p2prc::daemon
