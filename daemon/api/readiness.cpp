#include "daemon/api/readiness.h"

#include "core/process_status.h"

#include <algorithm>
#include <utility>

namespace p2prc::daemon {

using namespace std::chrono_literals;

namespace {

constexpr auto long_enough = 2s; // to have lived, without a port
constexpr auto soonest = 10ms;
constexpr auto latest = 3s;
// Before that, nothing is reported of a process that does not listen yet: each report is an upload.
constexpr auto first_word = 1s;

} // namespace

Readiness::Sources Readiness::of_this_machine() {
    return {[] { return net::tcp_listeners(); },
            [](const std::string& process) { return process::unit_sockets(process); }};
}

Readiness::Readiness(boost::asio::any_io_executor executor, const View& view, state::OwnState& own,
                     Sources sources)
    : view_(&view)
    , own_(&own)
    , sources_(std::move(sources))
    , timer_(executor) {}

void Readiness::start() {
    subscription_ =
        own_->subscribe(std::string(keys::statuses), [this](std::span<const state::Change> changes) {
            for (const state::Change& change : changes)
                note(change.key);
        });
    for (const auto& [key, document] : own_->range(keys::statuses))
        note(std::string(key));
}

void Readiness::note(const std::string& key) {
    const auto document = own_->get(key);
    const auto status = document ? status_from_json(*document) : ProcessStatus{};
    const bool waits = document && status.state == ProcessState::Running && !status.invocation.empty() &&
                       !is_ready(status) && key == keys::status(view_->node(), status.id);
    if (!waits) {
        waiting_.erase(key);
        return;
    }
    const auto known = waiting_.find(key);
    if (known != waiting_.end() && known->second.invocation == status.invocation) return;
    waiting_[key] = {status.invocation, Clock::now()};
    timer_.cancel();
    look_in(0s);
}

void Readiness::look_in(Clock::duration time) {
    timer_.arm(time, [this] { look(); });
}

std::optional<std::string> Readiness::lack(const ProcessRecord& record, Clock::duration age,
                                           std::optional<std::vector<net::Listener>>& listeners) const {
    if (!record.port)
        return age >= long_enough ? std::nullopt : std::optional<std::string>("it has just been started");
    if (!listeners) {
        auto found = sources_.listeners();
        // Where it is not known who listens, having run long enough has to suffice.
        if (!found && age >= long_enough) return std::nullopt;
        listeners = std::move(found).value_or(std::vector<net::Listener>());
    }
    const auto target =
        process::port_target(*listeners, *record.port, sources_.unit(record.name), record.name,
                             [](const net::Listener& listener) { return process::holder_text(listener); });
    return target.address.empty() ? std::optional(target.reason) : std::nullopt;
}

void Readiness::look() {
    const auto now = Clock::now();
    std::optional<std::vector<net::Listener>> listeners; // one question for all of them
    std::vector<state::Change> changes;
    auto next = Clock::duration::max();
    for (const auto& [key, run] : waiting_) {
        auto status = status_from_json(*own_->get(key)); // note() keeps only those that are there
        const auto age = now - run.since;
        const auto* record = view_->process(status.id);
        const auto lacks = record ? lack(*record, age, listeners) : std::optional<std::string>("");
        if (lacks) next = std::min(next, std::clamp<Clock::duration>(age / 4, soonest, latest));
        if (lacks && !(record && record->port)) next = std::min<Clock::duration>(next, 100ms);
        if (lacks && (age < first_word || *lacks == status.waits_for)) continue;
        status.waits_for = lacks.value_or("");
        if (!lacks) status.ready_run = run.invocation;
        changes.push_back({key, status_to_json(status), 0});
    }
    if (next != Clock::duration::max()) look_in(next);
    // Last: it calls note(), which changes what was walked through.
    if (!changes.empty()) own_->update(std::move(changes));
}

} // namespace p2prc::daemon
