#include "cli/process_words.h"

#include "cli/output.h"
#include "core/json_members.h"
#include "core/stop_reason.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <utility>

namespace p2prc::cli {
namespace {

using Json = nlohmann::json;

StopReason reason_of(const Json& document) {
    const auto reason = document.find("reason");
    return reason != document.end() && reason->is_object() ? reason_from_json(*reason) : StopReason();
}

// Its port is that of the revision which serves.
std::string place_of(const Json& process) {
    return fmt::format("on {}{}", cell(process, "node"),
                       process.value("port", 0) ? fmt::format(", port {}", cell(process, "port")) : "");
}

bool was_not_kept(const Revised& revision) {
    return revision.outcome == "rolled-back" || revision.outcome == "failed";
}

bool is_under_way(const Revised& revision) {
    return revision.outcome == "pending" && !revision.next.empty();
}

std::string done_words(const Revised& revision) {
    if (revision.again != 0)
        return fmt::format("is back to revision {}, as revision {},", revision.again, revision.number);
    return fmt::format("{}runs revision {}", revision.redeployed ? "was deployed anew and " : "",
                       revision.number);
}

std::string under_way_words(const Revised& revision) {
    if (revision.again != 0)
        return fmt::format("goes back to revision {}, as revision {},", revision.again, revision.number);
    return fmt::format("{} revision {}", revision.redeployed ? "is deployed anew as" : "becomes",
                       revision.number);
}

// Not yet, or not any more, what was asked for.
Told how_the_update_is(const Json& process, const Revised& revision) {
    const auto name = cell(process, "name");
    if (was_not_kept(revision))
        return {1,
                {fmt::format("revision {} of '{}' was not kept{}{}", revision.number, name,
                             revision.why.empty() ? "" : ": ", revision.why),
                 fmt::format("  p2prc history {} shows what ran before", name)}};
    return {0,
            {fmt::format("'{}' {} on {}: {}", name, under_way_words(revision), cell(process, "node"),
                         revision.next)}};
}

} // namespace

Revised revised(const Json& process, const Json& history, std::uint32_t number) {
    Revised revision{.number = number};
    if (const auto next = cell(process, "next"); next != "-") revision.next = next;
    for (const auto& row : history) {
        if (json::member<std::uint32_t>(row, "revision") != number) continue;
        revision.outcome = json::member<std::string>(row, "outcome");
        revision.again = json::member<std::uint32_t>(row, "rollback_of");
        if (was_not_kept(revision) && row.contains("reason") && row["reason"].is_object())
            revision.why = text::for_terminal(reason_text(reason_of(row)));
        break;
    }
    return revision;
}

Told how_it_is(const Json& process, Asked asked, std::string_view verb, bool no_wait,
               const Revised& revision) {
    const auto name = cell(process, "name");
    const auto node = cell(process, "node");
    const auto state = cell(process, "state");
    const auto place = place_of(process);
    const auto reason = reason_of(process);
    const bool revises = revision.number != 0;
    const bool finished = state == "stopped" && reason.kind == StopKind::Finished;
    if (revises && (was_not_kept(revision) || is_under_way(revision)))
        return how_the_update_is(process, revision);
    if (process.value("ready", false))
        return {0,
                {fmt::format("'{}' {} {}", name, revises ? done_words(revision) : std::string(verb), place)},
                true};
    if (no_wait && (state == "running" || state == "starting" || state == "updating" || state == "stopping"))
        // What ends at once may be stopping by now.
        return {0, {fmt::format("'{}' was started {}", name, place)}, true};
    if (state == "running")
        return {1,
                {fmt::format("'{}' was started {}, and is not ready: {}", name, place,
                             cell(process, "waits_for"))}};
    if (finished) return {0, {fmt::format("'{}' has finished (exit status 0)", name)}, true};
    if (revises && asked == Asked::Start && state == "stopped")
        return {0,
                {fmt::format("'{0}' is stopped; {1} when it is started: p2prc start {0}", name,
                             revision.redeployed   ? std::string("its deployer runs anew")
                             : revision.again != 0 ? fmt::format("it runs revision {}, as revision {},",
                                                                 revision.again, revision.number)
                                                   : fmt::format("it runs revision {}", revision.number))}};
    if (asked == Asked::Start && state != "stopping")
        return {0,
                {fmt::format("'{}' is to run on {}, which does not answer; it is started when {} is back",
                             name, node, node)},
                true};
    // Spun again while it is stopped, or it ended just now.
    const bool known = reason.kind != StopKind::Unknown && state != "lost";
    const bool ended = state == "stopped" || state == "failed";
    return {1,
            {fmt::format("'{}' is {} on {}{}", name, state, node, known ? ": " + reason_text(reason) : ""),
             fmt::format("  {} shows more{}", logs_command(name, reason),
                         ended ? fmt::format("; p2prc start {} starts it", name) : "")}};
}

std::string resume_words(const Json& process) {
    if (cell(process, "state") != "paused") return {};
    return fmt::format("to let it go on, on {}: {}", cell(process, "node"),
                       resume_command(cell(process, "name"), reason_of(process)));
}

} // namespace p2prc::cli
