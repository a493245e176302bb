// Moves that a process's remedy asks for: its node says so with its status, and the registry judges it.
#include "core/names.h"
#include "core/remedy_plan.h"
#include "core/text.h"
#include "registry/maker.h"
#include "registry/rules.h"

#include <fmt/format.h>

namespace p2prc::registry::rules {
namespace {

constexpr std::size_t longest_refusal = 512;

// As long as the status is about what the record says.
bool asks_for_move(const ProcessRecord& process, const ProcessStatus& status) {
    return status.state == ProcessState::Failed && status.reason && status.remedy && status.remedy->planned &&
           status.remedy->planned->action == RemedyAction::Move && process.desired == Desired::Running &&
           status.applied == process.change && status.epoch == process.epoch &&
           (status.revision == 0 || status.revision == process.revision);
}

// As whoever spun it: what that one may have elsewhere decides, and not what its node may.
Actor maker_of(const Request& request, const ProcessRecord& process) {
    Actor maker;
    maker.node = node_of(process.created_by);
    const auto node = request.draft.node(maker.node);
    maker.role = node ? node->role : Role::Member;
    return maker;
}

// One where it has not failed today is better than one where it has.
Result<std::string> target(const Request& asks, const ProcessRecord& process) {
    std::vector<std::string> failed_on{process.node};
    for (const auto& move : process.moves)
        failed_on.push_back(move.from);
    auto fresh = other_node(asks, process, failed_on);
    if (fresh || process.moves.empty()) return fresh;
    return other_node(asks, process, std::span(failed_on).first(1));
}

// Its node asks again later; meanwhile people are told why.
void note_refusal(Draft& draft, ProcessRecord process, std::string_view why) {
    auto text = text::excerpt(why, longest_refusal);
    if (process.move_refused == text) return;
    process.move_refused = std::move(text);
    draft.put(process);
}

} // namespace

bool take_in_remedy(Request& request, ProcessRecord& process, const ProcessStatus& status) {
    if (!asks_for_move(process, status)) return false;
    forget_old(process.moves, request.now);
    const auto plan = plan_remedy({.spec = process.spec,
                                   .reason = *status.reason,
                                   .done = status.remedy->done,
                                   .moves = process.moves,
                                   .now = request.now,
                                   .early = status.remedy->early});
    if (plan.kind == RemedyPlan::Kind::NoRemedy || plan.action != RemedyAction::Move) return false;
    if (plan.kind != RemedyPlan::Kind::Act) {
        note_refusal(request.draft, process, plan.why);
        return false;
    }
    const auto actor = maker_of(request, process);
    Request asks{request.draft, actor, request.params, request.now, request.sign};
    const auto node = target(asks, process);
    if (!node) {
        note_refusal(request.draft, process, node.error().message);
        return false;
    }
    auto moved = process;
    moved.moves.push_back({request.now, process.node, cause_of(*status.reason), status.remedy->early});
    moved.move_refused.clear();
    if (const auto done = move_to(asks, moved, *node, "remedy@" + process.node); !done) {
        note_refusal(request.draft, process, done.error().message);
        return false;
    }
    process = std::move(moved);
    return true;
}

} // namespace p2prc::registry::rules
