#include "daemon/api/history.h"

#include "core/spec_changes.h"
#include "core/stop_reason.h"
#include "daemon/api/documents.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace p2prc::daemon {
namespace {

Json row_of(const Revision& revision, const ProcessStatus* status) {
    Json row;
    row["revision"] = revision.number;
    row["outcome"] = outcome_name(outcome_of(revision, status));
    row["by"] = revision.by;
    row["at"] = revision.at;
    row["at_timestamp"] = timestamp(revision.at);
    row["digest"] = revision.digest;
    auto reason = revision.reason;
    if (!reason && status && status->update && status->update->revision == revision.number)
        reason = status->update->reason;
    row["reason"] = reason ? reason_to_json(*reason) : Json(nullptr);
    return row;
}

} // namespace

Outcome outcome_of(const Revision& revision, const ProcessStatus* status) {
    if (revision.outcome != Outcome::Pending || !status) return revision.outcome;
    if (status->update && status->update->revision == revision.number) {
        switch (status->update->phase) {
        case UpdatePhase::Good:
            return Outcome::Good;
        case UpdatePhase::RolledBack:
            return Outcome::RolledBack;
        case UpdatePhase::Failed:
            return Outcome::Failed;
        case UpdatePhase::Replacing:
        case UpdatePhase::Confirming:
        case UpdatePhase::RollingBack:
            return Outcome::Pending;
        }
    }
    return status->good == revision.number ? Outcome::Good : Outcome::Pending;
}

Json history_document(const View& view, const ProcessRecord& process) {
    const auto* status = view.status(process);
    auto revisions = process.former;
    revisions.push_back(present_revision(process));
    std::ranges::sort(revisions, std::ranges::greater(), &Revision::number);
    Json rows = Json::array();
    for (const auto& revision : revisions)
        rows.push_back(row_of(revision, status));
    return rows;
}

Json explanation_document(const View& view, const ProcessSpec& spec) {
    const auto* process = view.process(spec.name);
    Json document;
    document["exists"] = process != nullptr;
    document["node"] = process ? Json(process->node) : Json(nullptr);
    document["changes"] = Json::array();
    document["restarts"] = false;
    document["revision"] = process ? process->revision : 1;
    if (!process) return document;
    const auto changes = spec_changes(process->spec, spec);
    for (const auto& change : changes)
        document["changes"].push_back(to_json(change));
    if (changes.empty()) return document;
    document["revision"] = last_revision(*process) + 1;
    const bool good = outcome_of(present_revision(*process), view.status(*process)) == Outcome::Good;
    document["restarts"] = process->desired == Desired::Running && (!good || restarts(changes));
    return document;
}

} // namespace p2prc::daemon
