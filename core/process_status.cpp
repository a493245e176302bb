#include "core/process_status.h"

#include "core/json_members.h"

#include <array>

namespace p2prc {
namespace {

using Json = nlohmann::json;

constexpr std::array names{
    std::pair{ProcessState::Starting, std::string_view("starting")},
    std::pair{ProcessState::Running, std::string_view("running")},
    std::pair{ProcessState::Stopping, std::string_view("stopping")},
    std::pair{ProcessState::Stopped, std::string_view("stopped")},
    std::pair{ProcessState::Failed, std::string_view("failed")},
    std::pair{ProcessState::Deploying, std::string_view("deploying")},
    std::pair{ProcessState::Updating, std::string_view("updating")},
    std::pair{ProcessState::Paused, std::string_view("paused")},
    std::pair{ProcessState::Lost, std::string_view("lost")},
};

template <class T>
Json or_null(const std::optional<T>& value) {
    return value ? Json(*value) : Json(nullptr);
}

} // namespace

std::string_view process_state_name(ProcessState state) noexcept {
    for (const auto& [value, name] : names)
        if (value == state) return name;
    return "lost";
}

ProcessState process_state_from_name(std::string_view name) noexcept {
    for (const auto& [value, text] : names)
        if (text == name) return value;
    return ProcessState::Lost;
}

bool stopped_on_request(const ProcessStatus& status) noexcept {
    return status.state == ProcessState::Stopped && status.reason && status.reason->kind == StopKind::Stopped;
}

bool is_executed(const ProcessStatus& status) noexcept {
    const bool with_pid = status.state == ProcessState::Starting || status.state == ProcessState::Paused;
    return status.state == ProcessState::Running || (with_pid && status.pid != 0);
}

bool is_ready(const ProcessStatus& status) noexcept {
    return status.state == ProcessState::Running && !status.invocation.empty() &&
           status.ready_run == status.invocation;
}

Json status_to_json(const ProcessStatus& status) {
    const bool waits = status.state == ProcessState::Starting || status.state == ProcessState::Deploying;
    Json document{{"schema", 1},
                  {"id", status.id},
                  {"name", status.name},
                  {"node", status.node},
                  {"state", process_state_name(status.state)},
                  {"pid", status.pid},
                  {"invocation", status.invocation},
                  {"boot_id", status.boot_id},
                  {"memory_bytes", or_null(status.memory_bytes)},
                  {"cpu_seconds", or_null(status.cpu_seconds)},
                  {"restarts", status.restarts},
                  {"since", status.since},
                  {"reason", status.reason ? reason_to_json(*status.reason) : Json(nullptr)},
                  {"epoch", status.epoch},
                  {"digest", status.digest},
                  {"applied", status.applied},
                  {"ready", is_ready(status)},
                  {"ready_run", status.ready_run},
                  {"waits_for", waits && !status.waits_for.empty() ? Json(status.waits_for) : Json(nullptr)},
                  {"revision", status.revision},
                  {"good", status.good}};
    if (!status.command.empty()) document["command"] = status.command;
    if (status.second_unit) document["second_unit"] = true;
    if (status.remedy) document["remedy"] = to_json(*status.remedy);
    if (status.update) document["update"] = to_json(*status.update);
    return document;
}

ProcessStatus status_from_json(const Json& document) {
    using json::member;
    ProcessStatus status;
    status.id = member<std::uint32_t>(document, "id");
    status.name = member<std::string>(document, "name");
    status.node = member<std::string>(document, "node");
    status.state = process_state_from_name(member<std::string>(document, "state"));
    status.pid = member<std::uint32_t>(document, "pid");
    status.invocation = member<std::string>(document, "invocation");
    status.boot_id = member<std::string>(document, "boot_id");
    status.memory_bytes = json::optional_member<std::uint64_t>(document, "memory_bytes");
    status.cpu_seconds = json::optional_member<double>(document, "cpu_seconds");
    status.restarts = member<std::uint32_t>(document, "restarts");
    status.since = member<std::string>(document, "since");
    if (document.is_object() && document.contains("reason") && document["reason"].is_object())
        status.reason = reason_from_json(document["reason"]);
    status.epoch = member<std::uint64_t>(document, "epoch");
    status.digest = member<std::string>(document, "digest");
    status.command = member<std::string>(document, "command");
    status.applied = member<std::uint64_t>(document, "applied");
    status.ready_run = member<std::string>(document, "ready_run");
    status.waits_for = member<std::string>(document, "waits_for");
    status.second_unit = member<bool>(document, "second_unit");
    status.revision = member<std::uint32_t>(document, "revision");
    status.good = member<std::uint32_t>(document, "good");
    if (document.is_object() && document.contains("remedy") && document["remedy"].is_object())
        status.remedy = remedy_progress_from_json(document["remedy"]);
    if (document.is_object() && document.contains("update") && document["update"].is_object())
        status.update = update_progress_from_json(document["update"]);
    return status;
}

} // namespace p2prc
