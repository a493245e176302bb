// Taking a node's processes away, before it is switched off, and letting it have some again.
#include "core/json_members.h"
#include "core/revision.h"
#include "core/text.h"
#include "registry/quota.h"
#include "registry/rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

namespace p2prc::registry::rules {
namespace {

// What ties a process to its machine, whichever other one there is.
std::vector<Obstacle> ties_of(const Draft& draft, const ProcessRecord& process) {
    std::vector<Obstacle> ties;
    const auto& run = process.spec.run;
    // Elsewhere it would run again, against the word of the machine's owner.
    if (const auto status = reported(draft, process); status && status->state == ProcessState::Paused)
        ties.push_back(
            {"paused", fmt::format("it is paused by the owner of {}", process.node),
             fmt::format("on {}: {}", process.node,
                         resume_command(process.name, status->reason ? *status->reason : StopReason()))});
    if (run.data)
        ties.push_back(
            {"data", fmt::format("its data is on {}", process.node),
             "p2prc kill it, copy the data, and spin it elsewhere; or set data = false in its file"});
    // Where it would go, a fixed port of the one before may be taken.
    if (fallback_revision(process) && process.desired == Desired::Running)
        ties.push_back({"update", fmt::format("its revision {} is being confirmed", process.revision),
                        "drain it again in a moment"});
    if (!run.user.empty())
        ties.push_back({"user", fmt::format("it runs as user {} of {}", run.user, process.node),
                        "p2prc kill it, and spin it where that user is"});
    if (!run.root.empty())
        ties.push_back({"root", fmt::format("its root is a directory on {}", process.node),
                        "p2prc kill it, and spin it where that directory is"});
    if (!run.credentials.empty())
        ties.push_back({"credentials", fmt::format("its credentials are files on {}", process.node),
                        "p2prc kill it, and spin it where these files are"});
    return ties;
}

// What its limits allow it to use is to be free where it goes to, whatever its file says of placement.
ProcessSpec spec_to_place(const ProcessRecord& process) {
    auto spec = process.spec;
    auto& memory = spec.placement.require.memory_bytes;
    if (spec.limits.memory_bytes) memory = std::max(memory.value_or(0), *spec.limits.memory_bytes);
    return spec;
}

Json row_of(const ProcessRecord& process, const std::string& from, const std::vector<Obstacle>& obstacles) {
    auto list = Json::array();
    for (const auto& obstacle : obstacles)
        list.push_back({{"code", obstacle.code}, {"text", obstacle.text}, {"fix", obstacle.fix}});
    return {{"process", process.name},
            {"id", process.id},
            {"from", from},
            {"to", process.node == from ? Json(nullptr) : Json(process.node)},
            {"change", process.change},
            {"obstacles", std::move(list)}};
}

// What to do about a process that none of the other nodes fits.
std::string fix_for(const ProcessRecord& process, std::span<const PlacementRow> rows) {
    if (process.spec.placement.nodes.empty())
        return "end some on the other nodes, or change what its file asks of a node";
    constexpr std::size_t enough = 5; // a fleet may have a thousand
    std::size_t named = 0;
    std::string would_do;
    for (const auto& row : rows)
        if (named < enough && row.node != process.node &&
            std::ranges::all_of(
                row.obstacles, [](const Obstacle& obstacle) { return obstacle.code == "not-listed"; })) {
            ++named;
            would_do += fmt::format("{}\"{}\"", would_do.empty() ? "" : " or ", row.node);
        }
    return fmt::format("add {} to placement.nodes of its file, spin it again, and drain again",
                       would_do.empty() ? "another node" : would_do);
}

bool answers(const Request& request, const std::string& node) {
    const auto fleet = request.draft.fleet();
    if (node == request.actor.node || (fleet && fleet->root == node)) return true;
    const auto* live = request.draft.get(keys::live(node));
    return live && json::member<std::string>(*live, "state") == "up";
}

} // namespace

// Where it could go, judged as if a stranger to all of them asked: nobody there has asked for it.
Result<std::string> other_node(const Request& request, const ProcessRecord& process,
                               std::span<const std::string> failed_on) {
    const auto spec = spec_to_place(process);
    auto candidates = candidates_for(request, spec, "");
    for (auto& candidate : candidates) {
        candidate.asks = false;
        candidate.local.reset();
        if (std::ranges::count(failed_on, candidate.record.name) > 0)
            candidate.local = Obstacle{"failed", "it has failed there", "mend what it needs there"};
    }
    const auto rows = place(spec, candidates, "");
    auto chosen = chosen_node(spec, rows, "");
    if (chosen) return chosen;
    auto error = chosen.error();
    for (auto end = error.message.find('\n'); end != std::string::npos; end = error.message.find('\n'))
        error.message.replace(end, 1, "; ");
    error.hint = fix_for(process, rows);
    return std::unexpected(std::move(error));
}

Result<void> move_to(Request& request, ProcessRecord& process, const std::string& node,
                     const std::string& by) {
    auto& draft = request.draft;
    const auto port = bind_port(draft, node, process.name, process.spec.port, request.is_owner(),
                                ports_in_use(request, node));
    if (!port) return std::unexpected(port.error());
    auto moved = process;
    moved.node = node;
    moved.port = *port;
    const auto has_chosen = [](const Revision& revision) { return revision.spec.port == 0; };
    if (std::ranges::any_of(moved.former, has_chosen)) {
        const auto chosen =
            process.spec.port == 0
                ? port
                : bind_port(draft, node, process.name, 0, request.is_owner(), ports_in_use(request, node));
        if (!chosen) return std::unexpected(chosen.error());
        for (auto& revision : moved.former | std::views::filter(has_chosen))
            revision.port = *chosen;
    }
    // The node that had it stops what it runs, because this one is later.
    ++moved.epoch;
    // A report of an earlier time there says nothing of this one.
    ++moved.change;
    moved.changed_by = by;
    if (auto room = check_room_for_process(draft, moved, node, request.is_owner()); !room) return room;
    drop_offers(draft, process);
    draft.put(moved);
    move_domains(draft, moved);
    process = std::move(moved);
    return {};
}

Result<Json> drain_node(Request& request) {
    auto node = described_node(request);
    if (!node) return std::unexpected(node.error());
    if (json::member<bool>(request.params, "again") && !node->draining)
        return fail(ErrorCode::Conflict, fmt::format("node '{}' has processes again", node->name),
                    fmt::format("p2prc nodes drain {} begins anew", node->name));
    const bool there = answers(request, node->name);
    if (!node->draining) {
        node->draining = true;
        request.draft.put(*node);
    }
    auto rows = Json::array();
    for (auto& process : request.draft.processes_on(node->name)) {
        auto obstacles = ties_of(request.draft, process);
        // What runs there would run on beside the new one.
        if (!there)
            obstacles.push_back({"not-up", fmt::format("{} does not answer, and cannot stop it", node->name),
                                 "drain it when it is back"});
        if (obstacles.empty()) {
            auto to = other_node(request, process, {});
            if (to)
                if (auto done = move_to(request, process, *to, request.by()); !done)
                    to = std::unexpected(done.error());
            if (!to)
                obstacles.push_back({"placement", text::excerpt(to.error().message, 1024), to.error().hint});
        }
        rows.push_back(row_of(process, node->name, obstacles));
    }
    return Json{{"node", node->name}, {"processes", std::move(rows)}};
}

Result<Json> resume_node(Request& request) {
    auto node = described_node(request);
    if (!node) return std::unexpected(node.error());
    node->draining = false;
    request.draft.put(*node);
    return Json{{"node", node->name}};
}

} // namespace p2prc::registry::rules
