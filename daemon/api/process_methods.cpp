#include "daemon/api/process_methods.h"

#include "core/fields.h"
#include "core/json_members.h"
#include "core/text.h"
#include "daemon/api/documents.h"
#include "daemon/api/history.h"
#include "daemon/api/log_stream.h"
#include "daemon/api/usage.h"
#include "dbus/codec.h"
#include "state/find_process.h"

#include <array>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace p2prc::daemon {

namespace {

constexpr std::uint32_t default_lines = 100; // of LogsWithOptions

bool has_log(const Json& document) {
    const auto reason = document.find("reason");
    return reason != document.end() && reason->is_object() && reason->contains("log");
}

} // namespace

std::span<const MethodRow<ProcessMethods>> ProcessMethods::rows() noexcept {
    using permission::kill, permission::open, permission::read_logs;
    static constexpr Permission start = permission::spin;
    using Self = ProcessMethods;
    static constexpr std::string_view process = "s process", with_options = "s process, a{sv} options",
                                      options = "a{sv} options", path = "o object",
                                      waiting = "s until, t timeout_seconds";
    static constexpr auto table = std::to_array<MethodRow<Self>>({
        {{"Manager", "SpinProcess", "a{sv} spec, s node", path, start, "spin"}, &Self::spin},
        {{"Manager", "SpinProcessWithOptions", "a{sv} spec, s node, a{sv} options", path, start, "spin",
          waiting},
         &Self::spin},
        {{"Manager", "ExplainPlacement", "a{sv} spec", "aa{sv} nodes", start, "spin"},
         &Self::explain_placement},
        {{"Manager", "ExplainPlacementWithOptions", "a{sv} spec, a{sv} options", "aa{sv} nodes", start,
          "spin", "s node"},
         &Self::explain_placement},
        {{"Manager", "ExplainSpin", "a{sv} spec, s node, a{sv} options", "a{sv} explanation", start, "spin"},
         &Self::explain_spin},
        {{"Manager", "KillProcess", process, "", kill, "kill"}, &Self::act<Verb::Kill>},
        {{"Manager", "KillProcessWithOptions", with_options, "", kill, "kill"}, &Self::act<Verb::Kill>},
        {{"Manager", "StopProcess", process, "", kill, "stop"}, &Self::act<Verb::Stop>},
        {{"Manager", "StopProcessWithOptions", with_options, "", kill, "stop"}, &Self::act<Verb::Stop>},
        {{"Manager", "StartProcess", process, "", start, "start"}, &Self::act<Verb::Start>},
        {{"Manager", "StartProcessWithOptions", with_options, "", start, "start", waiting},
         &Self::act<Verb::Start>},
        {{"Manager", "RestartProcess", process, "", kill, "restart"}, &Self::act<Verb::Restart>},
        {{"Manager", "RestartProcessWithOptions", with_options, "", kill, "restart", waiting},
         &Self::act<Verb::Restart>},
        {{"Manager", "PauseProcess", process, "", kill, "pause"}, &Self::pause},
        {{"Manager", "PauseProcessWithOptions", with_options, "", kill, "pause"}, &Self::pause},
        {{"Manager", "ResumeProcess", process, "", kill, "resume"}, &Self::resume},
        {{"Manager", "ResumeProcessWithOptions", with_options, "", kill, "resume", waiting}, &Self::resume},
        {{"Manager", "PauseOwner", "s node, a{sv} options", "", permission::manage_fleet, "pause"},
         &Self::pause_owner},
        {{"Manager", "ResumeOwner", "s node, a{sv} options", "", permission::manage_fleet, "resume"},
         &Self::resume_owner},
        {{"Manager", "ListOwners", options, "aa{sv} owners", open}, &Self::owners},
        {{"Manager", "LimitOwner", "s node, a{sv} options", "a{sv} owner", permission::manage_fleet, "limit",
          "s memory, s cpu, s tasks"},
         &Self::limit_owner},
        {{"Manager", "RollbackProcess", "s process, u revision", "u made", kill, "rollback"},
         &Self::roll_back},
        {{"Manager", "RollbackProcessWithOptions", "s process, u revision, a{sv} options", "u made", kill,
          "rollback", waiting},
         &Self::roll_back},
        {{"Manager", "SetProcessCustom", "s process, a{ss} custom, a{sv} options", "", start, "describe"},
         &Self::describe},
        {{"Manager", "RedeployProcess", process, "u made", kill, "redeploy"}, &Self::redeploy},
        {{"Manager", "RedeployProcessWithOptions", with_options, "u made", kill, "redeploy", waiting},
         &Self::redeploy},
        {{"Manager", "CleanDeployments", with_options, "a{sv} removed", permission::manage_fleet, "clean"},
         &Self::clean_deployments},
        {{"Manager", "ProcessHistory", process, "aa{sv} history", open}, &Self::history},
        {{"Manager", "GetProcess", process, path, open}, &Self::object},
        {{"Manager", "ProcessInformation", process, "a{sv} information", open}, &Self::information},
        {{"Manager", "ListProcess", "", "aa{sv} processes", open}, &Self::list},
        {{"Manager", "ListProcessWithOptions", options, "aa{sv} processes", open, "", "as fields"},
         &Self::list},
        {{"Manager", "ListUsage", options, "aa{sv} usage", open, "", "s node, s process"}, &Self::usage},
        {{"Manager", "Logs", "s process, u lines, b follow", "h stream", read_logs, "logs"}, &Self::logs},
        {{"Manager", "LogsWithOptions", with_options, "h stream", read_logs, "logs",
          "u lines, b follow, b deploy"},
         &Self::logs},
        {{"Process", "Stop", "", "", kill, "stop"}, &Self::act<Verb::Stop>},
        {{"Process", "StopWithOptions", options, "", kill, "stop"}, &Self::act<Verb::Stop>},
        {{"Process", "Start", "", "", start, "start"}, &Self::act<Verb::Start>},
        {{"Process", "StartWithOptions", options, "", start, "start", waiting}, &Self::act<Verb::Start>},
        {{"Process", "Restart", "", "", kill, "restart"}, &Self::act<Verb::Restart>},
        {{"Process", "RestartWithOptions", options, "", kill, "restart", waiting}, &Self::act<Verb::Restart>},
        {{"Process", "Pause", "", "", kill, "pause"}, &Self::pause},
        {{"Process", "PauseWithOptions", options, "", kill, "pause"}, &Self::pause},
        {{"Process", "Resume", "", "", kill, "resume"}, &Self::resume},
        {{"Process", "ResumeWithOptions", options, "", kill, "resume", waiting}, &Self::resume},
        {{"Process", "Kill", "", "", kill, "kill"}, &Self::act<Verb::Kill>},
        {{"Process", "KillWithOptions", options, "", kill, "kill"}, &Self::act<Verb::Kill>},
    });
    return table;
}

Reply ProcessMethods::spin(Request request) {
    // Read again by the table, which knows the types.
    request.message.rewind();
    auto document = dbus::read_spec(request.message);
    if (!document) co_return std::unexpected(document.error());
    const auto wait = wait_options(request.options);
    if (!wait) co_return std::unexpected(wait.error());
    // To replace what runs is to stop it.
    const auto spec = spec_from_document(*document);
    const auto* there = spec ? services_.view.process(spec->name) : nullptr;
    if (there && there->digest != spec_digest(*spec)) {
        PolkitDetails details{{"verb", "update"}, {"process", there->name}, {"node", there->node}};
        const auto permitted = co_await services_.rights.permit(request.message, request.caller,
                                                                permission::kill, std::move(details));
        if (!permitted) co_return std::unexpected(permitted.error());
    }
    const auto id = co_await services_.actions.spin(std::move(*document), request.text("node"),
                                                    request.caller.user, *wait);
    if (!id) co_return std::unexpected(id.error());
    services_.before_path();
    co_return answer(process_path(*id));
}

Reply ProcessMethods::roll_back(Request request) {
    const auto wait = wait_options(request.options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto revision = json::member<std::uint32_t>(request.arguments, "revision");
    const auto made =
        co_await services_.actions.roll_back(request.text("process"), revision, request.caller.user, *wait);
    if (!made) co_return std::unexpected(made.error());
    co_return answer(*made);
}

Reply ProcessMethods::redeploy(Request request) {
    const auto wait = wait_options(request.options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto made =
        co_await services_.actions.redeploy(request.text("process"), request.caller.user, *wait);
    if (!made) co_return std::unexpected(made.error());
    co_return answer(*made);
}

Reply ProcessMethods::clean_deployments(Request request) {
    auto removed = co_await services_.actions.clean_deployments(request.text("process"));
    if (!removed) co_return std::unexpected(removed.error());
    co_return answer(std::move(*removed), cleaned_fields());
}

Reply ProcessMethods::history(Request request) {
    const auto record = services_.view.find_process(request.text("process"));
    if (!record) co_return std::unexpected(record.error());
    co_return answer(history_document(services_.view, *record), history_fields());
}

Reply ProcessMethods::explain_placement(Request request) {
    request.message.rewind();
    auto document = dbus::read_spec(request.message);
    if (!document) co_return std::unexpected(document.error());
    auto explained =
        co_await services_.actions.explain(std::move(*document), request.text("node"), request.caller.user);
    if (!explained) co_return std::unexpected(explained.error());
    co_return answer(explained->value("placement", Json::array()), placement_fields());
}

Reply ProcessMethods::explain_spin(Request request) {
    request.message.rewind();
    auto document = dbus::read_spec(request.message);
    if (!document) co_return std::unexpected(document.error());
    auto explained =
        co_await services_.actions.explain(std::move(*document), request.text("node"), request.caller.user);
    if (!explained) co_return std::unexpected(explained.error());
    co_return answer(std::move(*explained), explanation_fields());
}

template <Verb verb>
Reply ProcessMethods::act(Request request) {
    const auto wait = wait_options(request.options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto done =
        co_await services_.actions.act(verb, request.text("process"), request.caller.user, *wait);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply ProcessMethods::pause(Request request) {
    const auto done = co_await services_.actions.pause(request.text("process"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply ProcessMethods::resume(Request request) {
    const auto wait = wait_options(request.options);
    if (!wait) co_return std::unexpected(wait.error());
    const auto done = co_await services_.actions.resume(request.text("process"), request.caller.user, *wait);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply ProcessMethods::pause_owner(Request request) {
    const auto done = co_await services_.actions.pause_owner(request.text("node"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply ProcessMethods::resume_owner(Request request) {
    const auto done = co_await services_.actions.resume_owner(request.text("node"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

Reply ProcessMethods::owners(Request) {
    co_return answer(services_.owners.rows(), owner_fields());
}

Reply ProcessMethods::limit_owner(Request request) {
    const auto node = request.text("node");
    const Json before = services_.owners.row_of(node);
    const auto done = co_await services_.actions.limit_owner(node, request.options, request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    Json row = services_.owners.row_of(node);
    row["notes"] = services_.owners.notes(node, before);
    co_return answer(std::move(row), owner_fields());
}

// The last lines of a journal are for those who may read it; everybody else gets the rest.
Reply ProcessMethods::information(Request request) {
    const auto record = services_.view.find_process(request.text("process"));
    if (!record) co_return std::unexpected(record.error());
    Json document = process_document(services_.view, *record);
    process::BriefUsages usages;
    services_.measure(document, usages);
    if (has_log(document)) {
        PolkitDetails details{{"verb", "logs"}, {"process", record->name}, {"node", record->node}};
        const bool readable = co_await services_.rights.allows(request.message, request.caller,
                                                               permission::read_logs, std::move(details));
        if (!readable) document["reason"].erase("log");
    }
    co_return answer(std::move(document), process_fields());
}

Reply ProcessMethods::describe(Request request) {
    const auto done = co_await services_.actions.describe_process(
        request.text("process"), request.value("custom"), request.caller.user);
    if (!done) co_return std::unexpected(done.error());
    co_return Answer{};
}

namespace {

// The fields that are asked for; none: all of them.
using FieldNames = std::set<std::string, std::less<>>;

Result<FieldNames> fields_asked_for(const Request& request) {
    FieldNames names;
    for (const Json& item : request.value("fields")) {
        auto name = item.get<std::string>();
        if (!find_field(process_fields(), name))
            return fail(ErrorCode::InvalidSpec, "a process has no field '" + text::excerpt(name) + "'",
                        "ListProcess has all fields");
        names.insert(std::move(name));
    }
    return names;
}

void keep_only(Json& row, const FieldNames& fields) {
    for (auto member = row.begin(); member != row.end();)
        member = fields.contains(member.key()) ? std::next(member) : row.erase(member);
}

} // namespace

Reply ProcessMethods::list(Request request) {
    auto fields = fields_asked_for(request);
    if (!fields) co_return std::unexpected(fields.error());
    Answer list;
    list.fields = process_fields();
    list.rows = [this, asked = std::move(*fields)](const auto& take) {
        const bool all = asked.empty();
        const bool cpu = all || asked.contains("cpu_seconds");
        const bool measured = cpu || asked.contains("memory_bytes");
        using Wanted = process::BriefUsages::Wanted;
        process::BriefUsages usages(cpu ? Wanted::Both : Wanted::Memory);
        CustomRoom room;
        for (const ProcessRecord& record : services_.view.processes()) {
            Json row = process_row(services_.view, record);
            room.take(row);
            if (measured) services_.measure(row, usages);
            if (!all) keep_only(row, asked);
            take(row);
        }
    };
    co_return list;
}

Reply ProcessMethods::usage(Request request) {
    auto node = request.text("node");
    std::uint32_t only = 0; // ids begin at 1
    if (const auto process = request.text("process"); !process.empty()) {
        const auto record = services_.view.find_process(process);
        if (!record) co_return std::unexpected(record.error());
        if (!node.empty() && record->node != node)
            co_return fail(ErrorCode::NotFound, "'" + record->name + "' runs on '" + record->node + "'",
                           "ask for that node, or for none");
        node = record->node;
        only = record->id;
    } else if (!node.empty() && !services_.view.node_record(node)) {
        std::vector<std::string> known;
        for (const NodeRecord& record : services_.view.nodes())
            known.push_back(record.name);
        co_return std::unexpected(state::no_such_node(node, known));
    }
    const auto asked = node;
    const Json nodes = co_await services_.fleet.usage(std::move(node));
    std::map<std::string, NodeUsage, std::less<>> measured;
    for (const auto& [name, usage] : nodes.items())
        measured.emplace(name, node_usage_from_json(usage));
    Answer list;
    list.fields = usage_fields();
    list.rows = [this, asked, only, measured = std::move(measured)](const auto& take) {
        for (const ProcessRecord& record : services_.view.processes()) {
            if ((only != 0 && record.id != only) || (!asked.empty() && record.node != asked)) continue;
            const auto there = measured.find(record.node);
            take(usage_row(services_.view, record, there == measured.end() ? nullptr : &there->second));
        }
    };
    co_return list;
}

Reply ProcessMethods::object(Request request) {
    const auto record = services_.view.find_process(request.text("process"));
    if (!record) co_return std::unexpected(record.error());
    services_.before_path();
    co_return answer(process_path(record->id));
}

Reply ProcessMethods::logs(Request request) {
    const auto record = services_.view.find_process(request.text("process"));
    if (!record) co_return std::unexpected(record.error());
    Json params = {{"process", record->name},
                   {"lines", request.value("lines").is_null() ? Json(default_lines) : request.value("lines")},
                   {"follow", request.value("follow") == true}};
    if (request.value("deploy") == true) params["deploy"] = true;
    if (services_.view.live(record->node) == "lost")
        co_return fail(ErrorCode::Unreachable, "node '" + record->node + "' is lost: its log is there",
                       "'p2prc nodes' shows when it was last heard of; read the log when it is back");
    auto stream = co_await services_.fleet.logs(record->node, std::move(params));
    if (!stream) co_return std::unexpected(stream.error());
    auto reader = pump_logs(services_.bus.executor(), std::move(*stream));
    if (!reader) co_return std::unexpected(reader.error());
    Answer result;
    result.descriptor = std::move(*reader);
    co_return result;
}

} // namespace p2prc::daemon
