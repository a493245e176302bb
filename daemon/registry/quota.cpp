#include "daemon/registry/quota.h"

#include "core/json_members.h"
#include "daemon/registry/maker.h"

#include <fmt/format.h>

#include <algorithm>

namespace p2prc::daemon::rules {
namespace {

constexpr const char* way_out = "end some that are not needed: p2prc ps lists them, p2prc kill ends them";

const Quota& limits(bool owner) {
    return quota_of(owner ? Role::Owner : Role::Member);
}

std::size_t tombstones_by(const Draft& draft, std::string_view node) {
    const auto all = draft.range("/tombstones/");
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const auto& item) {
        return node_of(json::member<std::string>(*item.second, "by")) == node;
    }));
}

} // namespace

const Quota& quota_of(Role role) noexcept {
    return role == Role::Owner ? owner_quota : member_quota;
}

Result<void> check_room_for_process(const Draft& draft, const ProcessRecord& process, std::string_view node,
                                    bool owner) {
    const auto size = document_size(spec_to_document(process.spec));
    if (size > longest_spec)
        return fail(ErrorCode::InvalidSpec,
                    fmt::format("the specification of process '{}' has {} bytes, and may have {}",
                                process.name, size, longest_spec),
                    "put scripts and data into files on the node");
    const auto& quota = limits(owner);
    std::size_t made = tombstones_by(draft, node), bytes = size, there = 0;
    // The documents as they are: to read each whole, for each process of many that a node brings, takes long.
    for (const auto& [key, other] : draft.range("/processes/")) {
        if (json::member<std::string>(*other, "node") == process.node) ++there;
        if (!is_maker(draft, node, json::member<std::string>(*other, "created_by"), *other)) continue;
        ++made;
        const auto committed = draft.committed_size(key);
        bytes += committed != 0 ? committed : document_size(*other);
    }
    // Others may have spun some there: they do not keep the node from its own.
    if (made >= quota.processes || there >= 2 * quota.processes)
        return fail(ErrorCode::Conflict,
                    fmt::format("node '{}' has {} processes, and may have {}", node, made, quota.processes),
                    way_out);
    if (bytes > quota.record_bytes)
        return fail(
            ErrorCode::Conflict,
            fmt::format(
                "the specifications of the processes of node '{}' would have {} bytes, and may have {}", node,
                bytes, quota.record_bytes),
            way_out);
    return {};
}

Result<void> check_room_for_tombstone(const Draft& draft, std::string_view node, bool owner) {
    const auto made = tombstones_by(draft, node);
    if (made < limits(owner).processes) return {};
    return fail(ErrorCode::Conflict,
                fmt::format("{} processes that were killed from node '{}' have still to end", made, node),
                "wait until their nodes are connected again, or run the command on another node");
}

Result<void> check_room_for_domain(const Draft& draft, std::string_view node, bool owner) {
    const auto& quota = limits(owner);
    const auto all = draft.range("/domains/");
    const auto mapped = static_cast<std::size_t>(std::ranges::count_if(all, [&](const auto& item) {
        return is_maker(draft, node, json::member<std::string>(*item.second, "created_by"), *item.second);
    }));
    if (mapped < quota.domains) return {};
    return fail(
        ErrorCode::Conflict,
        fmt::format("node '{}' has mapped {} domains, and may map {}", node, mapped, quota.domains),
        "give up some that are not needed: p2prc domains lists them, p2prc unmap-domain removes them");
}

} // namespace p2prc::daemon::rules
