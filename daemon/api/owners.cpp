#include "daemon/api/owners.h"

#include "core/counted.h"
#include "core/json_members.h"
#include "core/process_status.h"
#include "net/cgroups.h"
#include "net/clock.h"
#include "process/unit_group.h"
#include "process/unit_names.h"
#include "process/usage.h"
#include "state/origins.h"
#include "state/owner_limits.h"
#include "state/pauses.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <map>
#include <utility>

namespace p2prc::daemon {

// What one owner has here.
struct Owners::Share {
    std::string owner;
    bool own = false; // spun on this machine
    std::string slice;
    std::vector<std::string> processes = {};
    std::uint32_t running = 0, paused = 0;
    std::vector<std::string> outside = {}; // which of them run in another slice
    process::Usage usage = {};
};

namespace {

template <class T>
void add(std::optional<T>& sum, const std::optional<T>& more) {
    if (more) sum = sum.value_or(0) + *more;
}

void add(process::Usage& sum, const process::Usage& more) {
    add(sum.memory_bytes, more.memory_bytes);
    add(sum.cpu_usec, more.cpu_usec);
    add(sum.tasks, more.tasks);
}

template <class T>
void set(Json& row, const char* key, const std::optional<T>& value) {
    row[key] = value ? Json(*value) : Json(nullptr);
}

std::string megabytes(std::uint64_t bytes) {
    return fmt::format("{} MiB", (bytes + (1U << 20U) - 1) >> 20U);
}

} // namespace

Owners::Share Owners::another(std::string owner) const {
    auto slice = process::owner_slice(state::OwnerLimits(*own_).slice_name(owner));
    auto usage = process::read_slice_usage(slice, cgroup_root_);
    return {.owner = std::move(owner), .slice = std::move(slice), .usage = usage};
}

void Owners::add_process(Share& share, const ProcessRecord& record) const {
    share.processes.push_back(record.name);
    const auto* status = view_->status(record);
    const bool paused = status && status->state == ProcessState::Paused;
    if (paused) ++share.paused;
    if (!status || !is_executed(*status)) return;
    if (!paused) ++share.running; // frozen, it has its memory
    bool is_outside = false;
    // While an update replaces one unit by the other, both use something.
    for (const auto turn : {process::Turn::First, process::Turn::Second}) {
        const auto unit = process::unit_name(record.name, turn);
        if (!share.own) {
            const auto group = process::unit_group(unit, cgroup_root_);
            if (group.empty() || group.parent_path().filename() == share.slice) continue;
            is_outside = true;
        }
        add(share.usage, process::read_usage(unit, cgroup_root_));
    }
    if (is_outside) share.outside.push_back(record.name);
}

std::vector<Owners::Share> Owners::shares() const {
    const auto self = view_->node();
    const state::Origins origins(*own_);
    Share mine{.owner = self, .own = true, .slice = std::string(process::process_slice)};
    std::map<std::string, Share> others;
    const auto share_of = [&](const std::string& owner) -> Share& {
        const auto known = others.find(owner);
        return known != others.end() ? known->second : others.emplace(owner, another(owner)).first->second;
    };
    // What a drain has brought home was spun on this machine, too, though not for it.
    for (const ProcessRecord& record : view_->processes()) {
        if (record.node != self) continue;
        const auto owner = origins.spinner(record, self);
        add_process(owner == self ? mine : share_of(owner), record);
    }
    for (const auto& owner : state::OwnerLimits(*own_).nodes())
        if (owner != self) share_of(owner);
    for (const auto& owner : state::Pauses(*own_).owners())
        if (owner != self) share_of(owner);
    std::vector<Share> all{std::move(mine)};
    for (auto& [owner, share] : others)
        all.push_back(std::move(share));
    return all;
}

Json Owners::row(const Share& share) const {
    Json row{{"owner", share.owner},     {"own", share.own},       {"processes", share.processes},
             {"running", share.running}, {"paused", share.paused}, {"slice", share.slice},
             {"outside", share.outside}};
    const auto now = std::chrono::duration_cast<std::chrono::microseconds>(net::boottime());
    row["measured_usec"] = static_cast<std::uint64_t>(now.count());
    set(row, "memory_bytes", share.usage.memory_bytes);
    set(row, "cpu_usec", share.usage.cpu_usec);
    set(row, "tasks", share.usage.tasks);
    if (const auto limit = share.own ? std::nullopt : state::OwnerLimits(*own_).of(share.owner)) {
        set(row, "memory_limit_bytes", limit->limits.memory_bytes);
        set(row, "cpu_limit_percent", limit->limits.cpu_percent);
        set(row, "tasks_limit", limit->limits.tasks);
        row["limited_by"] = limit->by;
        row["limited_at"] = limit->at;
    }
    if (const auto pause = state::Pauses(*own_).of_owner(share.owner)) {
        row["paused_by"] = pause->by;
        row["paused_at"] = pause->at;
    }
    return row;
}

Json Owners::rows() const {
    Json rows = Json::array();
    for (const auto& share : shares())
        rows.push_back(row(share));
    return rows;
}

Json Owners::row_of(const std::string& owner) const {
    for (const auto& share : shares())
        if (!share.own && share.owner == owner) return row(share);
    return row(another(owner)); // of which there is nothing
}

Json Owners::notes(const std::string& owner, const Json& before) const {
    Json notes = Json::array();
    const auto limit = state::OwnerLimits(*own_).of(owner);
    if (!limit) return notes;
    const auto& [memory_limit, cpu_limit, tasks_limit] = limit->limits;
    const auto memory = json::member<std::uint64_t>(before, "memory_bytes");
    const auto tasks = json::member<std::uint64_t>(before, "tasks");
    if (memory_limit && !net::limits_memory(cgroup_root_))
        notes.push_back("the limit of memory has no effect: this machine's kernel does not limit memory (no "
                        "memory controller; Raspberry Pi: cgroup_enable=memory in cmdline.txt)");
    else if (memory_limit && memory > *memory_limit)
        notes.push_back(
            fmt::format("they used {}, and the limit is {}: the kernel takes memory back, and ends "
                        "processes (oom-kill) where that is not enough",
                        megabytes(memory), megabytes(*memory_limit)));
    if (cpu_limit && !net::limits_cpu(cgroup_root_))
        notes.push_back(
            "the limit of processor time has no effect: this machine's kernel does not limit it (no "
            "cpu controller: CONFIG_CFS_BANDWIDTH)");
    if (tasks_limit && !net::limits_tasks(cgroup_root_))
        notes.push_back(
            "the limit of tasks has no effect: this machine's kernel does not limit them (no pids "
            "controller: CONFIG_CGROUP_PIDS)");
    else if (tasks_limit && tasks > *tasks_limit)
        notes.push_back(fmt::format(
            "they have {}, and the limit is {}: none is ended, and none begins before there are fewer",
            counted(tasks, "task", "tasks"), *tasks_limit));
    if (const auto outside = json::member<std::vector<std::string>>(before, "outside"); !outside.empty())
        notes.push_back(
            fmt::format("the limits count for {} from the next start on", fmt::join(outside, ", ")));
    return notes;
}

} // namespace p2prc::daemon
