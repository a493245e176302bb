#include "daemon/api/problems.h"

#include "core/counted.h"
#include "core/gate.h"
#include "core/json_members.h"
#include "core/machine_role.h"
#include "core/names.h"
#include "core/process_status.h"
#include "core/text.h"
#include "daemon/api/documents.h"
#include "daemon/api/reported_checks.h"
#include "net/clock.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <set>

namespace p2prc::daemon {
namespace {

constexpr auto expires_soon = std::chrono::hours(24 * 7);
constexpr std::size_t most_refused_domains = 16; // of one offer
constexpr std::size_t longest_text = 300;
// A root that was taken over can write any number of them.
constexpr std::size_t most_refused = 8;

std::string foreign(const Json& document, std::string_view key) {
    return text::excerpt(json::member<std::string>(document, key), longest_text);
}

// "at 22:29:52 UTC" of an RFC 3339 time, with its day when that is another one.
std::string when(const std::string& time) {
    if (time.size() < 19) return "";
    const bool today = net::now_rfc3339().substr(0, 10) == time.substr(0, 10);
    return fmt::format("{}{} UTC", today ? "" : time.substr(0, 10) + " ", time.substr(11, 8));
}

// After a boot a network takes its time.
constexpr std::chrono::seconds to_come_up{20};
// What was up is back by then when it was restarted.
constexpr std::chrono::seconds to_come_back{5};
// Most servers are ready by then.
constexpr std::chrono::seconds to_become_ready{60};

// Whether it began within the last `moment`. Times of one form compare as texts; one of the future is of
// another clock.
bool just_now(const std::string& since, std::chrono::seconds moment = to_come_up) {
    const auto now = std::chrono::system_clock::now();
    return since.size() == net::now_rfc3339().size() && since >= net::to_rfc3339(now - moment) &&
           since <= net::to_rfc3339(now + moment);
}

class Finder {
  public:
    Finder(const View& view, const registry::Gateway& gateway)
        : view_(view)
        , gateway_(gateway)
        , fleet_(view.fleet()) {}

    std::vector<Problem> run() {
        find_link();
        find_edge();
        for (const auto& node : view_.nodes())
            find_node(node);
        for (const auto& node : view_.nodes())
            find_tunnel(node);
        for (const auto& node : view_.nodes())
            find_checks(node);
        for (const auto& process : view_.processes())
            find_process(process);
        for (const auto& domain : view_.domains())
            find_domain(domain);
        find_certificates();
        find_offers();
        find_refused();
        return std::move(problems_);
    }

  private:
    // Another thing that is down for the cause with this subject; false: there is no such cause.
    bool blame(const std::string& subject, std::string affected) {
        const auto found = by_subject_.find(subject);
        if (found == by_subject_.end()) return false;
        problems_[found->second].affects.push_back(std::move(affected));
        return true;
    }

    void add(Problem problem) {
        by_subject_.emplace(problem.subject, problems_.size());
        problems_.push_back(std::move(problem));
    }

    bool has_root() const { return fleet_ && !fleet_->root.empty(); }
    // Where to do it comes first: what is to be done may be several commands.
    std::string on(const std::string& node, std::string what) const {
        return node == view_.node() ? what : "on " + node + ": " + std::move(what);
    }

    void find_link() {
        for (const auto& notice : gateway_.notices())
            add({false, "databases", notice.message, notice.hint, "", {}});
        if (const auto trouble = gateway_.upload_trouble())
            add({true,
                 "status of " + view_.node(),
                 text::excerpt(trouble->message, longest_text),
                 trouble->hint,
                 "",
                 {}});
        if (gateway_.reachable()) return;
        const auto away = gateway_.away();
        if (gateway_.connecting())
            add({false, "link", "connecting to the root node", "", "", {}});
        else
            add({true, "link", away.message, away.hint, "", {}});
    }

    static bool says_why_the_edge_is_down(std::string_view subject) {
        return subject == role_subject(MachineRole::Edge) || subject.starts_with("port ");
    }

    // What the edge's node says of it, while that can be heard.
    void find_edge() {
        if (!has_root() || !gateway_.reachable()) return;
        const auto edge = view_.edge();
        if (!edge) return;
        if (json::member<bool>(*edge, "up")) {
            if (const auto trouble = foreign(*edge, "detail"); !trouble.empty())
                add({true,
                     "routes",
                     fmt::format("the edge on '{}': {}", fleet_->root, trouble),
                     on(fleet_->root, "journalctl -u p2prc-edge"),
                     "",
                     {}});
            return;
        }
        auto why = foreign(*edge, "detail");
        bool known = false; // why, and waiting does not help
        auto fix =
            std::string("systemctl start p2prc-edge.socket p2prc-edge.service; journalctl -u p2prc-edge");
        for (const auto& check : checks_of(fleet_->root))
            if (check.state == "fail" && says_why_the_edge_is_down(check.subject)) {
                why = check.subject == role_subject(MachineRole::Edge) ? check.detail
                                                                       : check.subject + ": " + check.detail;
                fix = check.fix;
                known = true;
                break;
            }
        const auto since = json::member<std::string>(*edge, "since");
        if (just_now(json::member<std::string>(*edge, "connecting")) && !known) {
            add({false, "edge", fmt::format("the edge on '{}' is starting", fleet_->root), "", since, {}});
            return;
        }
        add({true,
             "edge",
             fmt::format("the edge on '{}' does not run: {}", fleet_->root, why),
             on(fleet_->root, std::move(fix)),
             since,
             {}});
    }

    void find_node(const NodeRecord& node) {
        const auto live = view_.live(node.name);
        if (node.name == view_.node() || live == "up") return;
        silent_.insert(node.name);
        if (blame("edge", "node " + node.name)) return;
        const auto* self = view_.node_record(view_.node());
        const auto heard = view_.last_heard(node.name);
        const auto since = heard.empty() ? view_.live_since(node.name) : heard;
        add({true,
             "node " + node.name,
             since.empty() ? fmt::format("node '{}' has never connected", node.name)
                           : fmt::format("node '{}' has not answered since {}", node.name, when(since)),
             fmt::format("check its power and network; if it is gone for good{}: p2prc nodes rm {}",
                         self && self->role == Role::Owner ? "" : ", on a node with the role owner",
                         node.name),
             since,
             {}});
    }

    void find_tunnel(const NodeRecord& node) {
        const bool here = node.name == view_.node();
        if (!has_root() || silent_.contains(node.name)) return;
        if (!gateway_.reachable() && !here) return;
        const auto tunnel = view_.get(keys::tunnel(node.name));
        if (tunnel && json::member<bool>(*tunnel, "up")) return;
        if (by_subject_.contains("link") || by_subject_.contains("edge")) return;
        auto detail = tunnel ? foreign(*tunnel, "detail") : "its connector has not connected yet";
        std::string fix = "systemctl start p2prc-connector; journalctl -u p2prc-connector";
        bool off = false;
        for (const auto& check : checks_of(node.name))
            if (check.state == "fail" && check.subject == role_subject(MachineRole::Connector)) {
                detail = check.detail;
                fix = check.fix;
                off = true;
            }
        if (!off && tunnel_is_connecting(view_, node.name)) {
            add({false,
                 "tunnel of " + node.name,
                 fmt::format("node '{}' is connecting its tunnel to the edge", node.name),
                 "",
                 "",
                 {}});
            return;
        }
        add({true,
             "tunnel of " + node.name,
             fmt::format("node '{}' has no tunnel to the edge{}{}", node.name, detail.empty() ? "" : ": ",
                         detail),
             on(node.name, std::move(fix)),
             "",
             {}});
    }

    // What a node finds out about its own machine (daemon/fleet/node_checks.h).
    void find_checks(const NodeRecord& node) {
        if (silent_.contains(node.name)) return;
        for (const auto& check : checks_of(node.name)) {
            if (check.state != "fail" && check.state != "warn") continue;
            // Said as the reason of the edge already, or of the tunnel.
            if (by_subject_.contains("edge") && says_why_the_edge_is_down(check.subject)) continue;
            if (by_subject_.contains("tunnel of " + node.name) &&
                check.subject == role_subject(MachineRole::Connector))
                continue;
            add({check.state == "fail",
                 fmt::format("{} of {}", check.subject, node.name),
                 fmt::format("{} of node '{}': {}", check.subject, node.name, check.detail),
                 on(node.name, check.fix),
                 "",
                 {}});
        }
    }

    std::vector<ReportedCheck> checks_of(const std::string& node) const {
        return reported_checks(view_, node);
    }

    void find_process(const ProcessRecord& process) {
        const auto document = process_document(view_, process);
        const auto state = json::member<std::string>(document, "state");
        if (silent_.contains(process.node)) {
            if (process.desired == Desired::Running) blame_node(process.node, "process " + process.name);
            return;
        }
        if (state == "starting" || state == "updating") return find_unready(process, document);
        if (state != "failed") return;
        auto cause = fmt::format("process '{}' on '{}' failed", process.name, process.node);
        const auto reason = reason_from_json(document["reason"]);
        if (document["reason"].is_object()) cause += ": " + text::excerpt(reason_text(reason), longest_text);
        add({true,
             "process " + process.name,
             std::move(cause),
             fmt::format("{}; p2prc info {}", logs_command(process.name, reason), process.name),
             json::member<std::string>(document, "since"),
             {}});
    }

    // What has been on its way for longer than it should be. If visitors wait for it, that is a fault; a
    // process that never listens at the port of its file may be as its owner wants it.
    void find_unready(const ProcessRecord& process, const Json& document) {
        const auto since = json::member<std::string>(document, "since");
        const auto lacks = foreign(document, "waits_for");
        const auto limit =
            std::max(to_become_ready, ready_limit(process.spec.ready).value_or(to_become_ready));
        if (lacks.empty() || just_now(since, limit)) return;
        add({!view_.domains_of(process).empty(),
             "process " + process.name,
             fmt::format("process '{}' on '{}' is not ready: {}", process.name, process.node, lacks),
             fmt::format("p2prc logs {0}; p2prc info {0}", process.name),
             since,
             {}});
    }

    void blame_node(const std::string& node, const std::string& affected) {
        if (!blame("edge", affected)) blame("node " + node, affected);
    }

    void find_domain(const DomainRecord& domain) {
        const auto affected = "domain " + domain.domain;
        const auto document = domain_document(view_, domain);
        const auto state = json::member<std::string>(document, "state");
        const auto* process = view_.process(domain.process);
        const auto node = process ? process->node : domain.node;
        if (blame("edge", affected)) return;
        if (silent_.contains(node) && blame("node " + node, affected)) return;
        if (blame("process " + domain.process, affected)) return;
        if (blame("tunnel of " + node, affected)) return;
        if (state == "live") return;
        if (node == view_.node() && blame("link", affected)) return;
        const auto run = process ? run_of(*process) : Run();
        if (run.state != "running") {
            // One entry for all domains that wait for the same process.
            add({!is_meant(process, run),
                 "process " + domain.process,
                 process ? fmt::format("process '{}' on '{}' is {}", process->name, process->node, run.state)
                         : fmt::format("there is no process '{}'", domain.process),
                 hint_for(domain, process, run, {}),
                 "",
                 {affected}});
            return;
        }
        const auto reason = text::excerpt(json::member<std::string>(document, "reason"), longest_text);
        add({!is_meant(process, run) && !(state == "waiting" && just_now(tunnel_since(node))),
             affected,
             fmt::format("domain '{}' is {}: {}", domain.domain, state, reason),
             hint_for(domain, process, run, reason),
             "",
             {}});
    }

    // A domain is served once it has been probed through the tunnel.
    std::string tunnel_since(const std::string& node) const {
        const auto tunnel = view_.get(keys::tunnel(node));
        return tunnel ? json::member<std::string>(*tunnel, "since") : std::string();
    }

    struct Run {
        std::string state;
        StopReason reason = {};
        // With systemctl: as much on purpose as with p2prc.
        bool stopped_outside() const { return state == "stopped" && reason.kind == StopKind::StoppedOutside; }
    };
    Run run_of(const ProcessRecord& process) const {
        const auto document = process_document(view_, process);
        return {json::member<std::string>(document, "state"), reason_from_json(document["reason"])};
    }

    // A process that was stopped or paused on purpose, that is not there, or is about to run, and a fleet
    // that has no root yet.
    bool is_meant(const ProcessRecord* process, const Run& run) const {
        if (!has_root()) return true;
        if (!process) return true; // killed, or mapped before it is spun: the name is kept for it
        return process->desired == Desired::Stopped || run.stopped_outside() || run.state == "paused" ||
               run.state == "starting" || run.state == "updating" || run.state == "deploying";
    }

    std::string hint_for_tls(const DomainRecord& domain) const {
        auto in_process = fmt::format("let '{}' speak TLS on port {}", domain.process, domain.port);
        if (!fleet_ || !in_zone(domain.domain, fleet_->zone)) return in_process;
        return fmt::format("let its node terminate TLS: p2prc map-domain {} {}; or {}", domain.domain,
                           domain.process, in_process);
    }

    std::string hint_for(const DomainRecord& domain, const ProcessRecord* process, const Run& run,
                         std::string_view reason) const {
        if (!process)
            return fmt::format("spin '{}', or release the domain: p2prc unmap-domain {}", domain.process,
                               domain.domain);
        if (process->desired == Desired::Stopped || run.state == "stopped")
            return "p2prc start " + process->name;
        if (run.state == "paused") return on(process->node, resume_command(process->name, run.reason));
        if (reason == not_tls_reason) return hint_for_tls(domain);
        return fmt::format("p2prc info {0}; p2prc logs {0}; {1}", process->name,
                           on(process->node, "journalctl -u p2prc-connector -u 'p2prcd-acme-*'"));
    }

    // Those that end soon: a new one should have come long before.
    void find_certificates() {
        const auto soon = net::to_rfc3339(std::chrono::system_clock::now() + expires_soon);
        const auto now = net::now_rfc3339();
        for (const auto& domain : view_.domains()) {
            const auto document = view_.get(keys::certificate(domain.node, domain.domain));
            if (!document || domain.tls != TlsMode::Node) continue;
            // Times of one form compare as texts.
            const auto until = json::member<std::string>(*document, "not_after");
            if (until.size() != now.size() || until > soon) continue;
            const auto detail = foreign(*document, "detail");
            add({until < now,
                 "certificate of " + domain.domain,
                 fmt::format("the certificate of '{}' {} on {} and was not renewed{}{}", domain.domain,
                             until < now ? "expired" : "expires", until.substr(0, 10),
                             detail.empty() ? "" : ": ", detail),
                 on(domain.node, "systemctl restart p2prc-connector; "
                                 "journalctl -u p2prc-connector -u 'p2prcd-acme-*'"),
                 "",
                 {}});
        }
    }

    // What a node has without a record, as the registry could not take it in.
    void find_offers() {
        for (const auto& [key, offer] : view_.replica().range(keys::offers)) {
            const auto process = accept_offer(key, *offer);
            if (!process) {
                refused(key, &process.error());
                continue;
            }
            find_refused_domains(*process, *offer);
            const auto refused = foreign(*offer, "refused");
            if (refused.empty()) continue;
            add({false,
                 fmt::format("process {}", process->id),
                 fmt::format("process {} ('{}') of node '{}' is not known to the fleet's registry, which was "
                             "restored from an older copy: {}",
                             process->id, process->name, process->node, refused),
                 fmt::format("it comes back on its own once that is resolved; to end it: p2prc kill {}",
                             process->id),
                 "",
                 {}});
        }
    }

    // What the gate keeps out, on every node alike: a fault of the registry, or an attack through it. The
    // status of a process says it itself.
    void find_refused() {
        const auto& records = view_.replica().records();
        if (const auto* entry = records.fleet()) refused(keys::fleet, entry->refused.get());
        for (const auto& [name, entry] : records.nodes())
            refused(keys::node(name), entry.refused.get());
        for (const auto& entry : records.domains())
            refused(keys::domain(entry->record.domain), entry->refused.get());
        for (const auto& [id, entry] : records.tombstones())
            refused(keys::tombstone(id), entry.refused.get());
        for (const auto& [key, document] : view_.replica().range(keys::challenges))
            if (const auto read = accept_challenge(key, *document); !read) refused(key, &read.error());
        if (refused_ > most_refused)
            add({false,
                 "registry",
                 counted(refused_ - most_refused, "more record is", "more records are") + " not accepted",
                 "look at the root node's registry, which holds them",
                 "",
                 {}});
    }
    void refused(std::string_view key, const Error* error) {
        if (!error || ++refused_ > most_refused) return;
        add({false, fmt::format("record {}", text::excerpt(key)), error->message, error->hint, "", {}});
    }

    void find_refused_domains(const ProcessRecord& process, const Json& offer) {
        const auto list = offer.find("refused_domains");
        if (list == offer.end() || !list->is_object()) return;
        std::size_t named = 0;
        for (const auto& [domain, why] : list->items()) {
            const auto fqdn = normalize_domain(domain);
            if (!fqdn || *fqdn != domain || !why.is_string() || ++named > most_refused_domains) continue;
            add({false,
                 fmt::format("domain {} of {}", domain, process.name),
                 fmt::format(
                     "domain '{}' was mapped to process '{}' of node '{}' before the fleet's registry "
                     "was restored from an older copy, and is not now: {}",
                     domain, process.name, process.node,
                     text::excerpt(why.get_ref<const std::string&>(), longest_text)),
                 fmt::format(
                     "it is mapped again on its own once that is resolved (p2prc unmap-domain {}), or "
                     "by an owner: p2prc map-domain {} {}",
                     domain, domain, process.name),
                 "",
                 {}});
        }
    }

    const View& view_;
    const registry::Gateway& gateway_;
    const FleetRecord* fleet_; // the state does not change meanwhile
    std::vector<Problem> problems_;
    std::map<std::string, std::size_t> by_subject_;
    std::set<std::string> silent_; // nodes that are suspect or lost
    std::size_t refused_ = 0;
};

} // namespace

bool tunnel_is_connecting(const View& view, const std::string& node) {
    if (view.live(node) != "up") return false;
    const auto tunnel = view.get(keys::tunnel(node));
    if (!tunnel) return just_now(view.live_since(node));
    return !json::member<bool>(*tunnel, "up") &&
           (just_now(json::member<std::string>(*tunnel, "connecting")) ||
            just_now(json::member<std::string>(*tunnel, "since"), to_come_back));
}

std::vector<Problem> find_problems(const View& view, const registry::Gateway& gateway) {
    return Finder(view, gateway).run();
}

Json to_json(const std::vector<Problem>& problems) {
    Json list = Json::array();
    for (const auto& problem : problems)
        list.push_back({{"severity", problem.down ? "down" : "warning"},
                        {"subject", problem.subject},
                        {"cause", problem.cause},
                        {"hint", problem.hint},
                        {"since", problem.since.empty() ? Json(nullptr) : Json(problem.since)},
                        {"since_timestamp", timestamp(problem.since)},
                        {"affects", problem.affects}});
    return list;
}

} // namespace p2prc::daemon
