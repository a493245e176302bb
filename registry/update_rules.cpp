// Revisions of a process: updates, rollbacks, and what came of them.
#include "core/json_members.h"
#include "core/names.h"
#include "core/revision.h"
#include "core/revision_outcome.h"
#include "core/spec_changes.h"
#include "core/text.h"
#include "registry/maker.h"
#include "registry/quota.h"
#include "registry/rules.h"
#include "state/find_process.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {

std::optional<ProcessStatus> reported(const Draft& draft, const ProcessRecord& process) {
    const auto* document = draft.get(keys::status(process.node, process.id));
    return document ? std::optional(status_from_json(*document)) : std::nullopt;
}

namespace {

// Of the present revision, once another one follows it.
Outcome last_outcome(const ProcessRecord& process, const std::optional<ProcessStatus>& status) {
    const auto outcome = outcome_now(process.revision, process.outcome, status ? &*status : nullptr);
    return outcome == Outcome::Pending ? Outcome::Superseded : outcome;
}

// One that was chosen stays, unless the next revision is to run beside what has it. The choice is the same
// each time, so it leaves out what has not worked: another program may have that port.
Result<std::optional<std::uint16_t>> port_of_next(Request& request, const ProcessRecord& existing,
                                                  const ProcessSpec& spec, bool restart) {
    const bool beside = restart && spec.update.order == UpdateOrder::StartFirst;
    if (spec.port == 0 && existing.spec.port == 0 && existing.port && !beside) return existing.port;
    auto in_use = ports_in_use(request, existing.node);
    in_use.insert(spec.ports.begin(), spec.ports.end());
    if (existing.port) in_use.insert(*existing.port);
    if (const auto* good = last_good_revision(existing); good && good->port) in_use.insert(*good->port);
    for (const auto& former : existing.former)
        if (former.port && (former.outcome == Outcome::Failed || former.outcome == Outcome::RolledBack))
            in_use.insert(*former.port);
    return bind_port(request.draft, existing.node, spec.name, spec.port, request.is_owner(), in_use);
}

enum class FileDomain { Claimed, LeftAlone };

// Its domain, and the ports of its mappings, are those of the present revision.
Result<void> lead_domains(Request& request, const ProcessRecord& process,
                          FileDomain domain = FileDomain::Claimed) {
    const bool owner = request.is_owner();
    release_file_domain(request.draft, process);
    if (domain == FileDomain::Claimed && !process.spec.domain.empty())
        if (const auto claimed = claim_domain(request.draft, process.spec.domain, process.name, true,
                                              present_revision(process).by);
            !claimed)
            return std::unexpected(claimed.error());
    attach_domains(request.draft, process, owner);
    return {};
}

Result<void> check_may_update(const Request& request, const ProcessRecord& process) {
    if (request.may_change(process)) return {};
    return fail(
        ErrorCode::NotPermitted,
        fmt::format("process '{}' runs on node '{}' and was spun by {}; a member updates only what is its "
                    "own",
                    process.name, process.node, process.created_by),
        "choose another name, or run the command on a node with the role owner");
}

// The node gives the data of what was spun there to no revision from elsewhere (process/data_directories.h),
// as that is only the root's word; whoever asks learns of it before anything is stopped.
Result<void> check_data(const Request& request, const ProcessRecord& process) {
    const bool spun_there = node_of(process.created_by) == process.node;
    if (request.actor.node == process.node || !spun_there || !process.spec.run.data) return {};
    if (remote_policy_of(request, process.node) == RemoteSpin::Any) return {};
    return fail(
        ErrorCode::NotPermitted,
        fmt::format("process '{}' was spun on node '{}' and keeps data there, so it is updated only there",
                    process.name, process.node),
        fmt::format("run the command on {0}, or let its owner write spin = \"any\" below [remote] in "
                    "/etc/p2prc/p2prcd.toml on {0} (then: systemctl reload p2prcd)",
                    process.node));
}

// What its node says that the update to the present revision has done with the data.
void note_data(ProcessRecord& process, const ProcessStatus& status) {
    constexpr std::size_t longest = 200;
    if (status.update && status.update->revision == process.revision && status.update->data != DataCopy::None)
        process.revision_data = text::excerpt(data_words(*status.update), longest);
}

// As the node says it, without its log, and fit for the records of every node.
Boxed<StopReason> reason_of(const UpdateProgress& update) {
    constexpr std::size_t longest = 1000;
    if (!update.reason) return {};
    auto reason = *update.reason;
    reason.log.clear();
    for (auto* text :
         {&reason.signal, &reason.step, &reason.by, &reason.owner, &reason.node, &reason.detail, &reason.at})
        *text = text::excerpt(*text, longest);
    return reason;
}

// What can be gone back to, for an error.
std::string revisions_text(const ProcessRecord& process) {
    std::string list;
    for (const auto& revision : process.former)
        list += fmt::format("{}{} ({})", list.empty() ? "" : ", ", revision.number,
                            outcome_name(revision.outcome));
    return list.empty() ? "it has no earlier revision" : "kept are " + list;
}

Result<Revision> revision_param(const Request& request, const ProcessRecord& process) {
    const auto number = json::member<std::uint32_t>(request.params, "revision");
    if (number == process.revision)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("revision {} of '{}' is the present one", number, process.name),
                    revisions_text(process));
    const auto* found = number == 0 ? last_good_revision(process) : former_revision(process, number);
    if (found) return *found;
    if (number == 0)
        return fail(ErrorCode::NotFound,
                    fmt::format("process '{}' has no earlier revision that was good", process.name),
                    process.former.empty() ? "spin a changed file to make its next revision"
                                           : revisions_text(process) + "; name one of them");
    return fail(ErrorCode::NotFound, fmt::format("process '{}' has no revision {}", process.name, number),
                revisions_text(process));
}

} // namespace

Result<Json> update(Request& request, ProcessRecord process, ProcessSpec spec,
                    std::optional<std::uint32_t> deployment, std::uint32_t rollback_of) {
    auto& draft = request.draft;
    const bool owner = request.is_owner();
    if (auto allowed = check_may_update(request, process); !allowed) return std::unexpected(allowed.error());
    if (auto allowed = check_remote_policy(request, process.node, spec); !allowed)
        return std::unexpected(allowed.error());
    if (auto allowed = check_data(request, process); !allowed) return std::unexpected(allowed.error());
    if (auto free = check_further_ports(draft, process.node, spec.name, spec.ports, owner); !free)
        return std::unexpected(free.error());
    const auto status = reported(draft, process);
    // A registry that was restored from an older copy does not know all that its nodes have been given.
    const auto begun = status && status->update ? status->update->revision : 0;
    const auto last = std::max({last_revision(process), status ? status->revision : 0, begun});
    if (last >= largest_revision)
        return fail(ErrorCode::Conflict, fmt::format("process '{}' has had too many revisions", process.name),
                    fmt::format("p2prc kill {}, then spin it", process.name));
    const auto outcome = last_outcome(process, status);
    const auto changes = spec_changes(process.spec, spec);
    // What is not known to be good may not run at all, and what has ended is to be tried with it.
    const bool up = status && is_executed(*status);
    const bool restart = outcome != Outcome::Good || !up || restarts(changes) ||
                         deployment != std::optional(process.deployment);
    auto port = port_of_next(request, process, spec, restart);
    if (!port) return std::unexpected(port.error());
    auto listed = Json::array();
    for (const auto& change : changes)
        listed.push_back(to_json(change));

    Revision next;
    next.number = last + 1;
    next.deployment = deployment.value_or(next.number);
    next.digest = spec_digest(spec);
    next.spec = std::move(spec);
    next.port = *port;
    next.rollback_of = rollback_of;
    next.by = request.by();
    next.at = request.at();
    if (status) note_data(process, *status);
    replace_revision(process, std::move(next), outcome);
    process.moves.clear();
    process.move_refused.clear();
    if (auto allowed = check_file_domain(request, process, owner); !allowed)
        return std::unexpected(allowed.error());
    if (auto room = check_room_for_update(draft, process); !room) return std::unexpected(room.error());
    if (restart && process.desired == Desired::Running) {
        ++process.change;
        process.changed_by = request.by();
    }
    draft.put(process);
    if (auto led = lead_domains(request, process); !led) return std::unexpected(led.error());
    return Json{{"id", process.id},    {"name", process.name},         {"node", process.node},
                {"created", false},    {"revision", process.revision}, {"change", process.change},
                {"restarts", restart}, {"changes", std::move(listed)}, {"deployment", process.deployment}};
}

Result<Json> roll_back(Request& request) {
    auto text = text_param(request, "process");
    if (!text) return std::unexpected(text.error());
    auto process = state::find_process(request.draft, *text);
    if (!process) return std::unexpected(process.error());
    if (auto allowed = check_may_update(request, *process); !allowed) return std::unexpected(allowed.error());
    auto earlier = revision_param(request, *process);
    if (!earlier) return std::unexpected(earlier.error());
    return update(request, std::move(*process), std::move(earlier->spec), earlier->deployment,
                  earlier->number);
}

Result<Json> redeploy(Request& request) {
    auto text = text_param(request, "process");
    if (!text) return std::unexpected(text.error());
    auto process = state::find_process(request.draft, *text);
    if (!process) return std::unexpected(process.error());
    if (process->spec.deploy.strategy.empty())
        return fail(
            ErrorCode::InvalidSpec,
            fmt::format("process '{}' has no deployer that could run again", process->name),
            fmt::format("[deploy] of its file names one; p2prc restart {} restarts it", process->name));
    auto spec = process->spec;
    return update(request, std::move(*process), std::move(spec), std::nullopt);
}

bool take_in_update(Request& request, ProcessRecord& process, const ProcessStatus& status) {
    if (!status.update || is_under_way(*status.update)) return false;
    const auto& update = *status.update;
    if (update.revision != process.revision) return false;
    // A remedy goes back from one that was good.
    const bool may_go_back = process.outcome == Outcome::Good && went_back(update);
    if (process.outcome != Outcome::Pending && !may_go_back) return false;
    note_data(process, status);
    if (update.phase == UpdatePhase::Good) {
        process.outcome = Outcome::Good;
        release_file_domain(request.draft, process);
        return true;
    }
    const auto* fallback = former_revision(process, update.fallback);
    if (!fallback) return false;
    const auto outcome = update.phase == UpdatePhase::Failed ? Outcome::Failed : Outcome::RolledBack;
    auto back = *fallback;
    replace_revision(process, std::move(back), outcome, reason_of(update));
    request.draft.put(process);
    // Somebody else may have its domain by now: then it has none.
    const bool free = check_file_domain(request, process, request.is_owner()).has_value();
    return lead_domains(request, process, free ? FileDomain::Claimed : FileDomain::LeftAlone).has_value();
}

} // namespace p2prc::registry::rules
