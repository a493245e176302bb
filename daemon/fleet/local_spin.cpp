#include "daemon/fleet/local_spin.h"

#include "core/json_members.h"
#include "state/fleet_state.h"
#include "state/origins.h"

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

state::Answered answered(const Json& answer) {
    return {json::member<std::uint32_t>(answer, "id"), json::member<std::uint32_t>(answer, "revision"),
            json::optional_member<std::uint32_t>(answer, "deployment")};
}

} // namespace

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
        const auto made = answered(*answer);
        const auto* known = replica.records().process(made.id);
        origins.bind(spec, made, known ? known->accepted() : nullptr);
    } else if (noted && (answer || refused))
        origins.take_back(spec);
    co_return answer;
}

asio::awaitable<Result<Json>> redeploy_here(FleetControl& fleet, state::OwnState& own, ProcessRecord record,
                                            Json params) {
    co_await fleet.wait_back();
    auto& gateway = fleet.gateway();
    std::string method = "process.redeploy";
    if (!gateway.reachable()) co_return co_await gateway.request(std::move(method), std::move(params));
    state::Origins origins(own);
    const bool noted = origins.note_redeployment(record);
    if (const auto kept = co_await own.flush(); !kept) co_return std::unexpected(kept.error());
    auto answer = co_await gateway.request(std::move(method), std::move(params));
    if (answer) {
        const auto made = answered(*answer);
        record.revision = made.revision;
        record.deployment = made.deployment.value_or(made.revision);
        origins.settle(record);
    } else if (noted && answer.error().code != ErrorCode::Unreachable)
        origins.take_back_redeployment(record);
    co_return answer;
}

} // namespace p2prc::daemon
