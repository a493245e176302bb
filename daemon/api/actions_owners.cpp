// What the owner of this machine says of all that another node has spun here.
#include "core/json_members.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "daemon/api/actions.h"
#include "net/clock.h"
#include "net/log.h"
#include "process/unit_names.h"
#include "state/find_process.h"
#include "state/origins.h"
#include "state/owner_limits.h"
#include "state/owner_notes.h"
#include "state/pauses.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// What processes need at least to run at all, and to be of use.
std::string limit_hint(std::string_view name) {
    std::string_view sensible = "a shell and a program need 16 tasks, most services 100 or more";
    if (name == "memory") sensible = "few programs run with less than 16M, most services need 64M or more";
    if (name == "cpu") sensible = "below 5% most programs take too long to become ready";
    return fmt::format("{}; none takes the limit away", sensible);
}

} // namespace

// A node that is not in the fleet yet, or any more, may have spun what is here, or do so later; but most
// often its name is misspelt.
Result<void> Actions::check_owner(const std::string& node) const {
    const state::Origins origins(*own_);
    const bool has_some = std::ranges::any_of(view_->processes(), [&](const ProcessRecord& record) {
        return record.node == view_->node() && origins.spinner(record, view_->node()) == node;
    });
    if (!has_some && node != view_->node() && !view_->node_record(node)) {
        std::vector<std::string> known;
        for (const NodeRecord& record : view_->nodes())
            known.push_back(record.name);
        return std::unexpected(state::no_such_node(node, known));
    }
    return {};
}

asio::awaitable<Result<void>> Actions::pause_owner(std::string node, std::string user) {
    if (const auto known = check_owner(node); !known) co_return known;
    state::Pauses(*own_).pause_owner(node, {by(user), net::now_rfc3339()});
    state::follow_owners(*own_, view_->replica(), view_->node());
    net::log_notice(fmt::format("all processes that '{}' has spun here are paused by {}", node, by(user)));
    co_return co_await own_->flush();
}

asio::awaitable<Result<void>> Actions::resume_owner(std::string node, std::string user) {
    if (!state::Pauses(*own_).resume_owner(node))
        co_return fail(ErrorCode::NotFound,
                       fmt::format("the processes of '{}' are not paused as a whole", node),
                       "p2prc owners shows who is; a single process is resumed by p2prc resume NAME");
    net::log_notice(fmt::format("the processes that '{}' has spun here were resumed by {}", node, by(user)));
    co_return co_await own_->flush();
}

asio::awaitable<Result<void>> Actions::limit_owner(std::string node, Json options, std::string user) {
    if (node == view_->node())
        co_return fail(
            ErrorCode::InvalidSpec,
            fmt::format("'{}' is this machine: what is spun here is in the slice of all processes", node),
            fmt::format("limit all processes together: systemctl set-property {} MemoryMax=2G "
                        "CPUQuota=150% TasksMax=512",
                        process::process_slice));
    state::OwnerLimits all(*own_);
    auto limit = all.of(node).value_or(state::OwnerLimit());
    if (limit.by.empty()) // limits of a node that has left can be taken away
        if (const auto known = check_owner(node); !known) co_return known;
    bool any = false;
    for (const auto* name : {"memory", "cpu", "tasks"}) {
        const auto value = json::member<std::string>(options, name);
        if (value.empty()) continue;
        any = true;
        if (const auto why = set_limit(limit.limits, name, value); !why.empty())
            co_return fail(ErrorCode::InvalidSpec, fmt::format("{} '{}' {}", name, text::excerpt(value), why),
                           limit_hint(name));
    }
    if (!any)
        co_return fail(ErrorCode::InvalidSpec, "no limit is given",
                       "give memory, cpu or tasks; none takes one away");
    limit.by = by(user);
    limit.at = net::now_rfc3339();
    all.set(node, limit);
    state::follow_owners(*own_, view_->replica(), view_->node());
    net::log_notice(fmt::format("the limits of what '{}' has spun here were changed by {}", node, by(user)));
    if (const auto kept = co_await own_->flush(); !kept) co_return kept;
    const auto applied = co_await apply_limits_(node);
    if (!applied)
        co_return fail(
            ErrorCode::Failed,
            fmt::format("the limits of '{}' are noted, and not in effect: {}", node, applied.error().message),
            "they are set anew when p2prcd starts");
    co_return Result<void>{};
}

} // namespace p2prc::daemon
