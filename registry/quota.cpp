#include "registry/quota.h"

#include "core/names.h"
#include "core/revision.h"
#include "registry/maker.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::registry::rules {
namespace {

constexpr const char* way_out = "end some that are not needed: p2prc ps lists them, p2prc kill ends them";

// Of one record and its key: names, and who made it.
constexpr std::size_t largest_mapping = 1024;

const Quota& limits(bool owner) {
    return quota_of(owner ? Role::Owner : Role::Member);
}

Result<void> check_length(const ProcessRecord& process, std::size_t size) {
    if (size <= longest_spec) return {};
    return fail(ErrorCode::InvalidSpec,
                fmt::format("the specification of process '{}' has {} bytes, and may have {}", process.name,
                            size, longest_spec),
                "put scripts and data into files on the node");
}

Result<void> check_record_bytes(std::string_view node, std::int64_t bytes, const Quota& quota) {
    if (has_room(bytes, 0, quota.record_bytes)) return {};
    return fail(ErrorCode::Conflict,
                fmt::format("the specifications of the processes of node '{}' would have {} bytes, and may "
                            "have {}",
                            node, bytes, quota.record_bytes),
                way_out);
}

} // namespace

bool has_room(std::int64_t taken, std::size_t more, std::size_t limit) noexcept {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(taken, 0)) + more <= limit;
}

const Quota& quota_of(Role role) noexcept {
    return role == Role::Owner ? owner_quota : member_quota;
}

Result<void> check_room_for_process(const Draft& draft, const ProcessRecord& process, std::string_view node,
                                    bool owner) {
    const auto size = document_size(spec_to_document(process.spec));
    if (auto fits = check_length(process, size); !fits) return fits;
    const auto& quota = limits(owner);
    const auto share = draft.share_of(node);
    const auto made = share.processes + share.tombstones;
    const auto bytes = share.record_bytes + static_cast<std::int64_t>(size);
    const auto there = draft.share_of(process.node).processes_on;
    // Others may have spun some there: they do not keep the node from its own.
    if (!has_room(made, 1, quota.processes) || !has_room(there, 1, 2 * quota.processes))
        return fail(ErrorCode::Conflict,
                    fmt::format("node '{}' has {} processes, and may have {}", node, made, quota.processes),
                    way_out);
    return check_record_bytes(node, bytes, quota);
}

Result<void> check_room_for_change(const Draft& draft, const ProcessRecord& process) {
    const std::string maker(node_of(process.created_by));
    const auto node = draft.node(maker);
    const auto* before = draft.get(keys::process(process.name));
    const auto size = static_cast<std::int64_t>(document_size(to_json(process)));
    const auto size_before = before ? static_cast<std::int64_t>(document_size(*before)) : 0;
    // Who has more than is allowed, as of before a lower limit, must be able to have less.
    if (before && size <= size_before) return {};
    return check_record_bytes(maker, draft.share_of(maker).record_bytes - size_before + size,
                              quota_of(node ? node->role : Role::Member));
}

Result<void> check_room_for_update(const Draft& draft, ProcessRecord& process) {
    if (auto fits = check_length(process, document_size(spec_to_document(process.spec))); !fits) return fits;
    if (auto room = check_room_for_change(draft, process)) return room;
    const auto* good = last_good_revision(process);
    const auto kept = good ? good->number : 0;
    std::erase_if(process.former, [kept](const Revision& each) { return each.number != kept; });
    return check_room_for_change(draft, process);
}

Result<void> check_room_for_tombstone(const Draft& draft, std::string_view node, bool owner) {
    const auto made = draft.share_of(node).tombstones;
    if (has_room(made, 1, limits(owner).processes)) return {};
    return fail(ErrorCode::Conflict,
                fmt::format("{} processes that were killed from node '{}' have still to end", made, node),
                "wait until their nodes are connected again, or run the command on another node");
}

Result<void> check_room_for_domain(const Draft& draft, std::string_view node, bool owner) {
    const auto& quota = limits(owner);
    constexpr const char* fewer =
        "give up some that are not needed: p2prc domains lists them, p2prc unmap-domain removes them";
    const auto share = draft.share_of(node);
    if (!has_room(share.domains, 1, quota.domains))
        return fail(ErrorCode::Conflict,
                    fmt::format("node '{}' has mapped {} domains, and may map {}", node, share.domains,
                                quota.domains),
                    fewer);
    if (!has_room(share.domain_bytes, largest_mapping, quota.domain_bytes))
        return fail(ErrorCode::Conflict,
                    fmt::format("the domains that node '{}' has mapped take up {} bytes, and may take up {}",
                                node, share.domain_bytes, quota.domain_bytes),
                    fewer);
    return {};
}

} // namespace p2prc::registry::rules
