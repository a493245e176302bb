#include "daemon/api/history.h"

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

} // namespace p2prc::daemon
