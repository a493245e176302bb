#include "daemon/api/history.h"

#include "core/revision_outcome.h"
#include "core/stop_history.h"
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
    row["outcome"] = outcome_name(outcome_now(revision.number, revision.outcome, status));
    row["by"] = revision.by;
    row["at"] = revision.at;
    row["at_timestamp"] = timestamp(revision.at);
    row["digest"] = revision.digest;
    const bool is_last = status && status->update && status->update->revision == revision.number;
    const auto data =
        is_last && status->update->data != DataCopy::None ? data_words(*status->update) : revision.data;
    row["data"] = data.empty() ? Json(nullptr) : Json(data);
    row["snapshot"] = revision.spec.run.data && revision.spec.update.snapshot;
    row["rollback_of"] = revision.rollback_of == 0 ? Json(nullptr) : Json(revision.rollback_of);
    auto reason = revision.reason;
    if (!reason && is_last) reason = status->update->reason;
    row["reason"] = reason ? reason_to_json(*reason) : Json(nullptr);
    return row;
}

Json row_of(const StopReason& stop) {
    Json row;
    row["stop"] = stop_kind_name(stop.kind);
    row["at"] = stop.at;
    row["at_timestamp"] = timestamp(stop.at);
    row["node"] = stop.node;
    row["epoch"] = stop.epoch;
    row["reason"] = reason_to_json(stop);
    return row;
}

} // namespace

Json history_document(const View& view, const ProcessRecord& process) {
    const auto* status = view.status(process);
    auto revisions = process.former;
    revisions.push_back(present_revision(process));
    std::ranges::sort(revisions, std::ranges::greater(), &Revision::number);
    const auto reported = view.get(keys::stops(process.node, process.id));
    const auto stops = reported ? stops_from_json(*reported) : std::vector<StopReason>();
    auto stop = stops.begin();
    Json rows = Json::array();
    for (const auto& revision : revisions) {
        for (; stop != stops.end() && stop->at >= revision.at; ++stop)
            rows.push_back(row_of(*stop));
        rows.push_back(row_of(revision, status));
    }
    for (; stop != stops.end(); ++stop)
        rows.push_back(row_of(*stop));
    return rows;
}

} // namespace p2prc::daemon
