#include "core/revision.h"

#include "core/json_members.h"
#include "core/records.h"

#include <algorithm>
#include <array>
#include <ranges>
#include <utility>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::array outcomes{
    std::pair{Outcome::Pending, std::string_view("pending")},
    std::pair{Outcome::Good, std::string_view("good")},
    std::pair{Outcome::RolledBack, std::string_view("rolled-back")},
    std::pair{Outcome::Failed, std::string_view("failed")},
    std::pair{Outcome::Superseded, std::string_view("superseded")},
};

} // namespace

std::string_view outcome_name(Outcome outcome) noexcept {
    for (const auto& [value, name] : outcomes)
        if (value == outcome) return name;
    return "superseded";
}

Outcome outcome_from_name(std::string_view name) noexcept {
    for (const auto& [value, text] : outcomes)
        if (text == name) return value;
    return Outcome::Superseded;
}

Json to_json(const Revision& revision) {
    Json document{{"revision", revision.number},
                  {"spec", spec_to_document(revision.spec)},
                  {"digest", revision.digest},
                  {"port", revision.port ? Json(*revision.port) : Json(nullptr)},
                  {"by", revision.by},
                  {"at", revision.at},
                  {"outcome", outcome_name(revision.outcome)}};
    if (revision.deployment != 0) document["deployment"] = revision.deployment;
    if (revision.rollback_of != 0) document["rollback_of"] = revision.rollback_of;
    if (!revision.data.empty()) document["data"] = revision.data;
    if (revision.reason) document["reason"] = reason_to_json(*revision.reason);
    return document;
}

Result<Revision> revision_from_json(const Json& document) {
    if (!document.is_object()) return fail(ErrorCode::Failed, "a stored revision is not an object");
    auto spec = spec_from_stored(document.contains("spec") ? document["spec"] : Json::object());
    if (!spec) return std::unexpected(spec.error());
    Revision revision;
    revision.number = json::member<std::uint32_t>(document, "revision");
    revision.spec = std::move(*spec);
    revision.digest = json::member<std::string>(document, "digest");
    revision.port = json::optional_member<std::uint16_t>(document, "port");
    revision.deployment = json::member<std::uint32_t>(document, "deployment");
    revision.rollback_of = json::member<std::uint32_t>(document, "rollback_of");
    revision.data = json::member<std::string>(document, "data");
    revision.by = json::member<std::string>(document, "by");
    revision.at = json::member<std::string>(document, "at");
    revision.outcome = outcome_from_name(json::member<std::string>(document, "outcome"));
    if (const auto reason = document.find("reason"); reason != document.end() && reason->is_object())
        revision.reason = reason_from_json(*reason);
    return revision;
}

Revision present_revision(const ProcessRecord& process) {
    Revision present;
    present.number = process.revision;
    present.spec = process.spec;
    present.digest = process.digest;
    present.port = process.port;
    present.deployment = process.deployment;
    present.rollback_of = process.rollback_of;
    present.data = process.revision_data;
    present.by = process.revised_by.empty() ? process.created_by : process.revised_by;
    present.at = process.revised_at.empty() ? process.created_at : process.revised_at;
    present.outcome = process.outcome;
    return present;
}

std::uint32_t last_revision(const ProcessRecord& process) noexcept {
    std::uint32_t last = process.revision;
    for (const auto& revision : process.former)
        last = std::max(last, revision.number);
    return last;
}

const Revision* former_revision(const ProcessRecord& process, std::uint32_t number) noexcept {
    const auto found = std::ranges::find(process.former, number, &Revision::number);
    return found == process.former.end() ? nullptr : &*found;
}

const Revision* last_good_revision(const ProcessRecord& process) noexcept {
    const Revision* last = nullptr;
    for (const auto& revision : process.former)
        if (revision.outcome == Outcome::Good && (!last || revision.number > last->number)) last = &revision;
    return last;
}

std::optional<std::uint16_t> bound_port(const ProcessRecord& process, std::uint32_t revision) noexcept {
    const auto* former = former_revision(process, revision);
    return former ? former->port : process.port;
}

const Revision* fallback_revision(const ProcessRecord& process) noexcept {
    return process.outcome == Outcome::Pending ? last_good_revision(process) : nullptr;
}

void apply_revision(ProcessRecord& process, const Revision& revision) {
    process.revision = revision.number;
    process.spec = revision.spec;
    process.digest = revision.digest;
    process.port = revision.port;
    process.deployment = revision.deployment;
    process.rollback_of = revision.rollback_of;
    process.revision_data = revision.data;
    process.revised_by = revision.by;
    process.revised_at = revision.at;
    process.outcome = revision.outcome;
}

void forget_oldest_revisions(std::vector<Revision>& former) {
    // The only ones that count for more than their age: an update falls back on it.
    const auto last_good =
        std::ranges::find(former.rbegin(), former.rend(), Outcome::Good, &Revision::outcome);
    const auto kept = last_good == former.rend() ? 0 : last_good->number;
    std::size_t count = 0, size = 0;
    std::vector<Revision> young;
    for (auto& revision : former | std::views::reverse) {
        const bool is_kept = revision.number == kept;
        if (!is_kept) size += to_json(revision).dump(-1, ' ', false, Json::error_handler_t::replace).size();
        ++count;
        if (is_kept || (count <= most_former_revisions && size <= longest_former_revisions))
            young.push_back(std::move(revision));
    }
    std::ranges::reverse(young);
    former = std::move(young);
}

void replace_revision(ProcessRecord& process, Revision next, Outcome outcome, Boxed<StopReason> reason) {
    auto present = present_revision(process);
    present.outcome = outcome;
    present.reason = std::move(reason);
    std::erase_if(process.former, [&](const Revision& each) {
        return each.number == next.number || each.number == present.number;
    });
    process.former.push_back(std::move(present));
    std::ranges::sort(process.former, {}, &Revision::number);
    forget_oldest_revisions(process.former);
    apply_revision(process, next);
}

} // namespace p2prc
