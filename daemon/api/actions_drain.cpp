// Draining a node, and letting it have processes again.
#include "core/json_members.h"
#include "daemon/api/actions.h"
#include "net/clock.h"
#include "net/event.h"

#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

// From one try to move what stays to the next.
constexpr std::chrono::seconds drain_pause{5};

std::chrono::seconds left_until(std::chrono::nanoseconds end) {
    return std::max(0s, std::chrono::ceil<std::chrono::seconds>(end - net::boottime()));
}

// Whether nothing ties it to its node but what passes.
bool may_go_later(const Json& row) {
    return std::ranges::all_of(row.value("obstacles", Json::array()), [](const Json& obstacle) {
        const auto code = json::member<std::string>(obstacle, "code");
        return code == "update" || code == "placement" || code == "not-up";
    });
}

} // namespace

asio::awaitable<Result<Json>> Actions::explain_drain(std::string node, std::string user) {
    std::string method = "node.explain_drain";
    Json params = {{"node", node}, {"by", by(user)}};
    const auto answer = co_await fleet_->gateway().request(std::move(method), std::move(params));
    if (!answer) co_return std::unexpected(answer.error());
    Json rows = answer->value("processes", Json::array());
    for (Json& row : rows)
        row.erase("change");
    co_return rows;
}

// Says in the row what has not come about by then.
asio::awaitable<void> Actions::await_moved(Json& row, std::optional<std::chrono::nanoseconds> end) {
    Awaited awaited;
    awaited.id = json::member<std::uint32_t>(row, "id");
    awaited.name = json::member<std::string>(row, "process");
    awaited.node = json::member<std::string>(row, "to");
    awaited.change = json::member<std::uint64_t>(row, "change");
    // Once the deadline has passed it is judged as it is.
    if (end) awaited.timeout = std::min(awaited.timeout, left_until(*end));
    auto done = co_await waits_->until_recorded(awaited);
    const auto* record = done ? view_->process(std::string_view(awaited.name)) : nullptr;
    if (record && record->desired == Desired::Running) {
        awaited.timeout = wait_time({}, record->spec);
        if (end) awaited.timeout = std::min(awaited.timeout, left_until(*end));
        done = co_await waits_->until(awaited);
    }
    if (!done)
        row["obstacles"].push_back(
            {{"code", "not-ready"}, {"text", done.error().message}, {"fix", done.error().hint}});
}

asio::awaitable<Result<Json>>
Actions::drain_node(std::string node, std::optional<std::chrono::seconds> deadline, std::string user) {
    const auto end = deadline ? std::optional(net::boottime() + *deadline) : std::nullopt;
    net::Event pause(co_await asio::this_coro::executor);
    Json moved = Json::array(), stay;
    for (bool again = false;; again = true) {
        std::string method = "node.drain";
        Json params = {{"node", node}, {"again", again}, {"by", by(user)}};
        const auto answer = co_await fleet_->gateway().request(std::move(method), std::move(params));
        if (!answer && !again) co_return std::unexpected(answer.error());
        // Somebody lets it have processes again, has removed it, or has taken the right to drain it away.
        if (!answer && answer.error().code != ErrorCode::Unreachable) break;
        if (answer) {
            stay = Json::array();
            // All of them are on their way already: one is waited for after the other.
            for (Json row : answer->value("processes", Json::array())) {
                const bool goes = !json::member<std::string>(row, "to").empty();
                if (goes) co_await await_moved(row, end);
                row.erase("change");
                (goes ? moved : stay).push_back(std::move(row));
            }
        }
        if (!end || net::boottime() >= *end || std::ranges::none_of(stay, may_go_later)) break;
        co_await pause.wait(std::min(drain_pause, left_until(*end)));
    }
    for (Json& row : stay)
        moved.push_back(std::move(row));
    co_return moved;
}

asio::awaitable<Result<void>> Actions::resume_node(std::string node, std::string user) {
    std::string method = "node.resume";
    Json params = {{"node", node}, {"by", by(user)}};
    const auto done = co_await fleet_->gateway().request(std::move(method), std::move(params));
    if (!done) co_return std::unexpected(done.error());
    co_return Result<void>{};
}

} // namespace p2prc::daemon
