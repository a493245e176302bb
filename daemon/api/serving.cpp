#include "daemon/api/serving.h"

#include "core/json_members.h"
#include "core/process_status.h"
#include "core/revision.h"
#include "net/clock.h"
#include "net/log.h"
#include "process/availability.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace p2prc::daemon {
namespace {

using Clock = std::chrono::steady_clock;

// While a process runs and does not listen yet, its port is looked at after this long, then twice as long.
constexpr std::chrono::milliseconds first_pause{20};
constexpr std::chrono::milliseconds longest_pause{3000};
// The same while clients are held for it, for so long: each pause is one that they wait, too.
constexpr std::chrono::milliseconds longest_pause_held{250};
constexpr std::chrono::seconds short_pauses_for{60};
// While all listen: one that went away with no visitor to notice it. The connector looks at each connection.
constexpr std::chrono::seconds calm_pause{30};
// A process that was ready and does not listen any more may have ended a moment ago: systemd says so soon.
// Later it is there and refuses its clients, and there is nothing to hold them for.
constexpr std::chrono::seconds end_is_known_within{2};
// A process that has begun to run may take this long to listen, before its domain counts as failed.
constexpr std::chrono::seconds listen_timeout{10};

// Its name becomes that of a control group: from the root it comes through the gate.
const ProcessRecord* accepted_process(const View& view, const std::string& name) {
    const auto* entry = view.replica().records().process(name);
    return entry && entry->accepted() ? view.process(name) : nullptr;
}

} // namespace

Serving::Serving(boost::asio::any_io_executor executor, const View& view, state::OwnState& own,
                 Accepts accepts, Ports ports, std::function<void()> changed)
    : view_(&view)
    , own_(&own)
    , accepts_(std::move(accepts))
    , ports_(std::move(ports))
    , changed_(std::move(changed))
    , soon_(executor)
    , again_(executor)
    , pause_(first_pause) {}

Serving::~Serving() = default;

void Serving::read() {
    const std::string self = view_->node();
    std::map<std::string, Served> before;
    for (Served& served : std::exchange(served_, {}))
        before.emplace(served.domain.domain, std::move(served));
    for (const auto fqdn : view_->replica().records().domains_on(self)) {
        // What the connector may dial is what a process of this machine declares, whatever the mapping says;
        // one that was killed here declares nothing any more, also while the root is away and does not know
        // yet.
        const DomainRecord* domain = view_->domain(fqdn);
        const auto* process = domain ? accepted_process(*view_, domain->process) : nullptr;
        if (!process || process->id != domain->process_id || process->node != self ||
            process->port != domain->port)
            continue;
        Served served;
        if (const auto old = before.find(domain->domain); old != before.end())
            served.missed = old->second.missed;
        served.process = process->id;
        served.hold = process->spec.update.hold;
        served.ready_by_port =
            !process->spec.ready.probe || is_by(process->spec.ready.probe, Probe::Kind::Port);
        const Result<void> accepted = accepts_ ? accepts_(*process) : Result<void>();
        if (!accepted) served.refused = accepted.error().message;
        served.domain = *domain;
        served_.push_back(std::move(served));
    }
    std::erase_if(reports_, [&](const auto& report) {
        return std::ranges::none_of(
            served_, [&](const Served& served) { return served.domain.domain == report.first; });
    });
    // Of names that are not served here any more, or under a name that this node had before.
    std::vector<std::string> old;
    for (const auto& [key, document] : own_->range(keys::servings))
        if (std::ranges::none_of(served_, [&](const Served& served) {
                return keys::serving(self, served.domain.domain) == key;
            }))
            old.emplace_back(key);
    for (std::string& key : old)
        own_->erase(std::move(key));
    look();
}

// Whether its command is executed: it may be ready, or on its way to be.
bool Serving::runs(const Served& served) const {
    const auto* status = own_->records().status(served.domain.node, served.process);
    // What is frozen may listen, and answers nobody.
    return served.refused.empty() && status && is_executed(*status) && status->state != ProcessState::Paused;
}

// An update that starts the next revision beside what runs gives it another port.
std::uint16_t Serving::port_of(const Served& served) const {
    const auto* record = view_->process(served.process);
    const auto* status = own_->records().status(served.domain.node, served.process);
    const auto port = record && status ? bound_port(*record, status->revision) : std::nullopt;
    return port.value_or(served.domain.port);
}

// To listen is to be ready, unless its file says how else.
bool Serving::may_be_dialled(const Served& served) const {
    const auto* status = own_->records().status(served.domain.node, served.process);
    return served.ready_by_port || (status && status->state == ProcessState::Running);
}

Availability Serving::availability_of(const Served& served) const {
    const auto* record = view_->process(served.process);
    if (!record) return Availability::Stopped;
    const auto& own = own_->records();
    const auto found =
        process::availability(*record, own.local_action(served.domain.node, served.process),
                              own.status(served.domain.node, served.process), ports_.boot_id());
    // It cannot begin to listen before somebody does something about that.
    return found == Availability::Coming && served.target.held ? Availability::Failed : found;
}

std::chrono::milliseconds Serving::hold_of(const Served& served) {
    const bool refuses =
        served.target.held || (served.missed && Clock::now() - *served.missed >= end_is_known_within);
    return served.availability == Availability::Running && refuses ? std::chrono::milliseconds(0)
                                                                   : served.hold;
}

void Serving::look_at(Served& served, std::span<const net::Listener> listeners) {
    const std::string& name = served.domain.process;
    served.target =
        process::port_target(listeners, served.port, ports_.unit(name), name,
                             [](const net::Listener& listener) { return process::holder_text(listener); });
    if (!served.target.address.empty() && !may_be_dialled(served))
        served.target = {.reason = fmt::format("'{}' listens, and is not ready yet", name)};
    if (!served.target.address.empty())
        served.missed.reset();
    else if (!served.missed)
        served.missed = Clock::now();
}

void Serving::look() {
    std::vector<net::Listener> listeners;
    if (std::ranges::any_of(served_, [this](const Served& served) { return runs(served); })) {
        auto found = ports_.listeners();
        // Without knowing who listens nobody is dialled.
        if (found)
            listeners = std::move(*found);
        else
            net::log_error(found.error().message);
    }
    Json mappings = Json::array();
    for (Served& served : served_) {
        served.port = port_of(served);
        if (runs(served)) {
            look_at(served, listeners);
        } else {
            served.target = {};
            served.missed.reset();
        }
        served.availability = availability_of(served);
        write(served);
        if (!served.refused.empty()) continue;
        Json mapping = {{"id", served.domain.mapping_id},
                        {"domain", served.domain.domain},
                        {"port", served.port},
                        {"tls", tls_mode_name(served.domain.tls)},
                        {"availability", availability_name(served.availability)},
                        {"hold_ms", hold_of(served).count()}};
        if (!served.target.address.empty()) {
            mapping["address"] = served.target.address;
            mapping["groups"] = served.target.groups;
        }
        mappings.push_back(std::move(mapping));
    }
    schedule();
    if (mappings == mappings_) return;
    mappings_ = std::move(mappings);
    changed_();
}

void Serving::look_soon(std::chrono::milliseconds wait) {
    pause_ = first_pause;
    soon_.arm(wait, [this] { look(); });
}

void Serving::schedule() {
    again_.cancel();
    if (served_.empty()) return;
    const bool waits =
        std::ranges::any_of(served_, [](const Served& served) { return served.missed.has_value(); });
    const bool holds = std::ranges::any_of(served_, [now = Clock::now()](const Served& served) {
        return served.availability == Availability::Coming && served.missed &&
               now - *served.missed < short_pauses_for;
    });
    const auto longest = holds ? longest_pause_held : longest_pause;
    const std::chrono::milliseconds wait =
        waits ? std::min(pause_, longest) : std::chrono::milliseconds(calm_pause);
    pause_ = waits ? std::min(pause_ * 2, longest) : first_pause;
    again_.arm(wait, [this] { look(); });
}

// Only changes are written: they are uploaded, and on disk.
void Serving::write(const Served& served) {
    Report now;
    if (!served.refused.empty()) {
        now = {"failing", served.refused};
    } else if (served.missed) {
        const bool long_ago = Clock::now() - *served.missed >= listen_timeout;
        now = {long_ago || served.target.held ? "failing" : "unknown", served.target.reason};
    } else if (!served.target.address.empty()) {
        if (const auto report = reports_.find(served.domain.domain); report != reports_.end())
            now = report->second;
    }
    const std::string key = keys::serving(served.domain.node, served.domain.domain);
    const auto before = own_->get(key);
    if (before && json::member<std::string>(*before, "state") == now.state &&
        json::member<std::string>(*before, "reason") == now.reason)
        return;
    own_->set(key, Json{{"state", now.state}, {"reason", now.reason}, {"at", net::now_rfc3339()}});
}

void Serving::report(const std::string& domain, const std::string& state, const std::string& reason) {
    const auto served =
        std::ranges::find_if(served_, [&](const Served& entry) { return entry.domain.domain == domain; });
    if (served == served_.end()) return;
    reports_[domain] = {state, reason};
    write(*served);
    // It may be somebody else's port by now.
    if (state == "failing") look_soon(first_pause);
}

void Serving::forget_reports() {
    reports_.clear();
    for (const Served& served : served_)
        write(served);
}

} // namespace p2prc::daemon
