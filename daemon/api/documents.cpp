#include "daemon/api/documents.h"

#include "core/deployer_report.h"
#include "core/fields.h"
#include "core/json_members.h"
#include "core/process_status.h"
#include "core/text.h"
#include "dbus/names.h"
#include "dbus/object.h"
#include "net/clock.h"
#include "process/retry_words.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace p2prc::daemon {

namespace {

Json or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json node_object(const std::string& name) {
    return name.empty() ? Json(nullptr) : Json(node_path(name));
}

Json reason_document(const StopReason& reason) {
    Json document = reason_to_json(reason);
    document["at_timestamp"] = timestamp(reason.at);
    return document;
}

std::string kill_command(const RunSpec& run) {
    RunSpec kill;
    kill.command = run.kill;
    return run.kill.empty() ? "" : command_text(kill);
}

// Of what has failed, or could not be deployed yet.
std::string next_attempt(const ProcessRecord& record, const ProcessStatus& status) {
    if (record.desired != Desired::Running) return {};
    if (status.state == ProcessState::Deploying) {
        const auto at = status.waits_for.rfind(process::next_attempt_words);
        return at == std::string::npos ? std::string() : status.waits_for.substr(at + 2); // after "; "
    }
    if (status.state != ProcessState::Failed || !status.remedy || !status.reason) return {};
    const auto now =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
            .count();
    return next_text(*status.remedy, *status.reason, now);
}

// By itself; empty: nothing is left to do.
std::string next_step(const ProcessRecord& record, const ProcessStatus& status) {
    // Stopped meanwhile, it stays as it is until it is started again.
    const bool updates = record.desired == Desired::Running && status.update && is_under_way(*status.update);
    if (!updates) return next_attempt(record, status);
    const auto& update = *status.update;
    if (update.phase == UpdatePhase::RollingBack)
        return fmt::format("revision {} runs again, as revision {} was not kept", update.fallback,
                           update.revision);
    // Beside what serves, or instead of it.
    const bool beside =
        record.spec.update.order == UpdateOrder::StartFirst && status.revision == update.fallback;
    return fmt::format("revision {} {} if it {}; otherwise revision {} runs {}", update.revision,
                       beside ? "takes over" : "is kept",
                       update.phase == UpdatePhase::Confirming ? "stays up for ten seconds"
                                                               : "becomes ready and stays up",
                       update.fallback, beside ? "on" : "again");
}

ProcessState state_of(const View& view, const ProcessRecord& record, const ProcessStatus* status) {
    if (view.live(record.node) == "lost") return ProcessState::Lost;
    // An update stops it and starts it again: it is on its way as a whole.
    const bool on_its_way =
        status && (status->state == ProcessState::Starting || status->state == ProcessState::Stopping);
    if (on_its_way && status->update && is_under_way(*status->update)) return ProcessState::Updating;
    if (status) return status->state;
    return record.desired == Desired::Running ? ProcessState::Starting : ProcessState::Stopped;
}

} // namespace

Json timestamp(const std::string& rfc3339) {
    const auto time = net::from_rfc3339(rfc3339);
    if (!time) return nullptr;
    return std::chrono::duration_cast<std::chrono::microseconds>(time->time_since_epoch()).count();
}

std::string process_path(std::uint32_t id) {
    return std::string(dbus::names::process_prefix) + "/" + std::to_string(id);
}

std::string node_path(const std::string& name) {
    return dbus::path_encode(dbus::names::node_prefix, name);
}

std::string domain_path(const std::string& domain) {
    return dbus::path_encode(dbus::names::domain_prefix, domain);
}

Json process_document(const View& view, const ProcessRecord& record) {
    const auto* status = view.status(record);
    const ProcessState state = state_of(view, record, status);
    const bool runs = status && state != ProcessState::Lost && is_executed(*status);
    // What its node reported last is older than its loss.
    const bool lost = state == ProcessState::Lost;
    const std::string since = lost ? view.live_since(record.node) : status ? status->since : "";
    std::vector<std::string> domains;
    for (const DomainRecord* domain : view.domains_of(record))
        domains.push_back(domain->domain);
    Json deployment = nullptr;
    if (!record.spec.deploy.strategy.empty())
        deployment = {{"strategy", record.spec.deploy.strategy}, {"script", record.spec.deploy.script}};
    // A member at a time: an initializer list of nlohmann::json makes four allocations for each, in lists of
    // thousands.
    Json document;
    document["object"] = process_path(record.id);
    document["id"] = record.id;
    document["name"] = record.name;
    document["node"] = record.node;
    document["node_object"] = node_object(record.node);
    document["ip"] = or_null(view.address_of(record.node));
    const auto port = status && runs ? bound_port(record, status->revision) : record.port;
    document["port"] = port ? Json(*port) : Json(nullptr);
    document["domain"] = domains.empty() ? Json(nullptr) : Json(domains.front());
    document["domains"] = domains;
    document["status"] = runs && state != ProcessState::Paused;
    document["state"] = process_state_name(state);
    document["ready"] = state == ProcessState::Running;
    const bool on_its_way =
        state == ProcessState::Deploying || (runs && status->state == ProcessState::Starting);
    document["waits_for"] = on_its_way ? or_null(status->waits_for) : Json(nullptr);
    document["deployment"] = deployment;
    const bool deployed = record.spec.run.command.empty() && status;
    document["run_command"] = or_null(deployed ? status->command : command_text(record.spec.run));
    document["kill_command"] = or_null(kill_command(record.spec.run));
    document["memory_bytes"] = runs && status->memory_bytes ? Json(*status->memory_bytes) : Json(nullptr);
    document["cpu_seconds"] = runs && status->cpu_seconds ? Json(*status->cpu_seconds) : Json(nullptr);
    document["restarts"] = status ? status->restarts : 0;
    document["since"] = or_null(since);
    document["since_timestamp"] = timestamp(since);
    document["reason"] = status && status->reason ? reason_document(*status->reason) : Json(nullptr);
    document["custom"] = record.custom;
    document["epoch"] = record.epoch;
    document["digest"] = record.digest;
    document["revision"] = record.revision;
    document["next"] = status && !lost ? or_null(next_step(record, *status)) : Json(nullptr);
    return document;
}

namespace {

// Whether visitors of a domain are served, and why not.
struct DomainState {
    const char* state = "live";
    std::string reason = {};
};

std::optional<DomainState> trouble_of_process(const View& view, const ProcessRecord& process) {
    const auto* status = view.status(process);
    const ProcessState state = state_of(view, process, status);
    if (state == ProcessState::Lost) return DomainState{"waiting", "node '" + process.node + "' is lost"};
    if (view.live(process.node) == "suspect")
        return DomainState{"waiting",
                           "node '" + process.node + "' is suspect: it has just stopped answering"};
    if (state == ProcessState::Running) return std::nullopt;
    auto reason = "process '" + process.name + "' is " + std::string(process_state_name(state));
    const bool on_its_way = state == ProcessState::Starting || state == ProcessState::Deploying;
    if (on_its_way && status && !status->waits_for.empty()) reason += ": " + status->waits_for;
    return DomainState{state == ProcessState::Failed ? "failed" : "waiting", std::move(reason)};
}

// What the root last said of its edge. A tunnel that the edge does not carry any more may not have noticed.
std::optional<DomainState> trouble_of_edge(const View& view) {
    const auto edge = view.edge();
    if (!edge || json::member<bool>(*edge, "up")) return std::nullopt;
    return DomainState{"waiting", "the edge on '" + view.fleet()->root + "' does not run"};
}

std::optional<DomainState> trouble_of_tunnel(const View& view, const std::string& name) {
    if (const auto* fleet = view.fleet(); fleet && fleet->root.empty())
        return DomainState{
            "waiting",
            "not reachable from the Internet: this machine is not in a fleet (p2prc init, p2prc join)"};
    const auto* node = view.node_record(name);
    if (!node || node->connector_key.empty())
        return DomainState{"waiting", "the connector of node '" + name + "' has not connected yet"};
    const auto tunnel = view.get(keys::tunnel(name));
    if (tunnel && json::member<bool>(*tunnel, "up")) return std::nullopt;
    const auto detail = tunnel ? json::member<std::string>(*tunnel, "detail") : "";
    return DomainState{"waiting", "node '" + name + "' has no tunnel to the edge" +
                                      (detail.empty() ? "" : ": " + detail)};
}

std::optional<DomainState> trouble_of_certificate(const View& view, const std::string& node,
                                                  const DomainRecord& domain) {
    if (domain.tls == TlsMode::Passthrough) return std::nullopt;
    const auto document = view.get(keys::certificate(node, domain.domain));
    const auto certificate = document ? certificate_from_json(*document) : CertificateStatus{};
    if (!certificate || certificate->state.empty() || certificate->state == "none")
        return DomainState{"waiting", "no certificate yet"};
    if (certificate->state == "ready") return std::nullopt;
    const bool failed = certificate->state == "failed";
    return DomainState{failed ? "failed" : "waiting",
                       (failed ? "no certificate: " : "no certificate yet: ") +
                           (certificate->detail.empty() ? "it has been ordered" : certificate->detail)};
}

// What the node that serves it sees: who listens, what visitors got, and what a probe through the edge did.
DomainState state_of_domain(const View& view, const DomainRecord& domain) {
    const auto* process = view.process(domain.process);
    if (!process) return {"waiting", "there is no process '" + domain.process + "'"};
    if (domain.process_id == 0)
        return {"waiting",
                "it was mapped by " + domain.created_by + " before process '" + domain.process +
                    "' came to node '" + process->node +
                    "', and is not served there automatically: map it again there, or as an owner"};
    if (auto trouble = trouble_of_process(view, *process)) return std::move(*trouble);
    const auto serving = view.get(keys::serving(process->node, domain.domain));
    const auto seen = serving ? json::member<std::string>(*serving, "state") : "";
    auto reason = serving ? json::member<std::string>(*serving, "reason") : "";
    if (auto trouble = trouble_of_edge(view)) return std::move(*trouble);
    if (auto trouble = trouble_of_tunnel(view, process->node)) return std::move(*trouble);
    if (seen == "failing") return {"failed", reason.empty() ? "visitors are not served" : std::move(reason)};
    if (auto trouble = trouble_of_certificate(view, process->node, domain)) return std::move(*trouble);
    if (seen == "ok") return {};
    return {"waiting", reason.empty() ? "it has not been probed through the edge yet" : std::move(reason)};
}

} // namespace

Json node_document(const View& view, const NodeRecord& record) {
    Json document = Json::object();
    const auto info = view.get(keys::node_info(record.name));
    for (const Field& field : node_fields()) {
        const std::string key(field.key);
        document[key] = info && info->is_object() && info->contains(key) ? (*info)[key] : Json(nullptr);
    }
    document["object"] = node_path(record.name);
    document["name"] = record.name;
    document["id"] = record.key;
    Json roles = Json::array({role_name(record.role)});
    const auto* fleet = view.fleet();
    const bool root = fleet && !fleet->root.empty() && fleet->root == record.name;
    if (root) roles.push_back("root");
    // The root says itself that it is up, and cannot say any more that it is not.
    const bool silent = root && record.name != view.node() && !view.is_current();
    const auto live = view.live(record.name);
    document["state"] = silent && live == "up" ? "suspect" : live;
    document["roles"] = roles;
    Json labels = Json::array();
    for (const auto& [key, value] : record.labels)
        labels.push_back(label_text(key, value));
    document["labels"] = labels;
    document["custom"] = record.custom;
    document["draining"] = record.draining;
    set_last_seen(document, view.last_heard(record.name));
    return document;
}

void set_last_seen(Json& node, const std::string& heard) {
    node["last_seen"] = or_null(heard);
    node["last_seen_timestamp"] = timestamp(heard);
}

Json domain_document(const View& view, const DomainRecord& record) {
    const DomainState now = state_of_domain(view, record);
    const auto* process = view.process(record.process);
    Json document;
    document["object"] = domain_path(record.domain);
    document["domain"] = record.domain;
    document["process"] = or_null(record.process);
    document["process_object"] = process ? Json(process_path(process->id)) : Json(nullptr);
    document["node"] = or_null(record.node);
    document["node_object"] = node_object(record.node);
    document["tls"] = tls_mode_name(record.tls);
    document["port"] = record.port ? Json(record.port) : Json(nullptr);
    document["state"] = now.state;
    document["reason"] = or_null(now.reason);
    return document;
}

namespace {

// 10,000 processes and 12,000 domains are to fit into a message of the bus (dbus/limits.h), whatever is in
// them.
constexpr std::size_t longest_text = 256;       // no name is longer, nor is a domain
constexpr std::size_t longest_value = 2048;     // of lists and tables, as JSON
constexpr std::size_t longest_deployers = 8192; // of a node: as many as are reported, with short names

void cut_texts(Json& value) {
    if (value.is_string()) {
        const auto& text = value.get_ref<const std::string&>();
        if (text.size() > longest_text) value = std::string(text::cut(text, longest_text)) + "...";
    } else if (value.is_structured()) {
        for (Json& inner : value)
            cut_texts(inner);
    }
}

Json row_of(Json document) {
    for (const auto& [key, value] : document.items()) {
        // The readers of records limit these (core/labels.h); all together, a list does.
        if (key == "labels" || key == "custom" || key == "deployers") continue;
        if (!key.ends_with("object")) cut_texts(value); // a path that is cut is none
        // The registry limits how many names of domains there are.
        if (value.is_structured() && key != "domains" &&
            value.dump(-1, ' ', false, Json::error_handler_t::replace).size() > longest_value)
            value = nullptr;
    }
    return document;
}

// As far as this version reads them; where they say too much, without what they lack.
Json deployers_of_row(const Json& row) {
    auto deployers = deployers_from_info(row);
    if (!deployers) return nullptr;
    auto list = deployers_to_json(*deployers);
    if (list.dump().size() <= longest_deployers) return list;
    for (auto& deployer : *deployers) {
        deployer.missing.clear();
        deployer.problem.clear();
    }
    list = deployers_to_json(*deployers);
    return list.dump().size() <= longest_deployers ? list : Json(nullptr);
}

} // namespace

Json process_row(const View& view, const ProcessRecord& record) {
    Json document = process_document(view, record);
    if (Json& reason = document["reason"]; reason.is_object()) reason.erase("log");
    return row_of(std::move(document));
}

Json node_row(const View& view, const NodeRecord& record) {
    auto row = row_of(node_document(view, record));
    row["deployers"] = deployers_of_row(row);
    return row;
}

Json domain_row(const View& view, const DomainRecord& record) {
    return row_of(domain_document(view, record));
}

void CustomRoom::take(Json& row) {
    const Json& custom = row.at("custom");
    if (custom.empty()) return;
    const auto size = custom.dump().size();
    if (size > left_)
        row["custom"] = nullptr;
    else
        left_ -= size;
}

Json process_rows(const View& view) {
    Json list = Json::array();
    CustomRoom room;
    for (const ProcessRecord& record : view.processes()) {
        Json row = process_row(view, record);
        room.take(row);
        list.push_back(std::move(row));
    }
    return list;
}

Json node_rows(const View& view) {
    Json list = Json::array();
    for (const NodeRecord& record : view.nodes())
        list.push_back(node_row(view, record));
    return list;
}

Json domain_rows(const View& view) {
    Json list = Json::array();
    for (const DomainRecord& record : view.domains())
        list.push_back(domain_row(view, record));
    return list;
}

} // namespace p2prc::daemon
