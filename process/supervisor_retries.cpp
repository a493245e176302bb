#include "process/supervisor.h"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>

namespace p2prc::process {

using namespace std::chrono_literals;

namespace {

// A network that comes and goes is no reason to try more often.
constexpr auto between_attempts = 5s;

} // namespace

// systemd gave it up because it failed too often in a minute, or it was stopped because it had not become
// ready, or did not answer any more. What it lacks, such as a network after a power cut, may come later: it
// is tried again for as long as it is wanted, and ever more seldom.
bool ProcessSupervisor::is_to_be_retried(const Facts& now) const {
    if (!now.record || !now.status || now.status->state != ProcessState::Failed) return false;
    if (!now.status->reason || !is_tried_again(now.status->reason->kind)) return false;
    const auto want = wanted(now);
    return want.desired == Desired::Running && now.record->spec.run.restart != Restart::No;
}

// What was stopped for a failed check was left on its way, so that its clients are held on.
bool ProcessSupervisor::starts_again_at_once() const {
    const auto now = facts();
    return now.record && now.status && now.status->state == ProcessState::Starting;
}

std::chrono::milliseconds ProcessSupervisor::next_pause(StopKind kind) {
    const auto longest = node_->options.longest_retry_pause;
    const bool well =
        !retry_.attempted || std::chrono::steady_clock::now() - *retry_.attempted > longest + retry_.pause;
    // It was in order until now: a restart is likely to help.
    if (kind == StopKind::Unhealthy && well) return retry_.pause = 0ms;
    const bool anew = retry_.pause == 0ms || well;
    retry_.pause = anew ? node_->options.first_retry_pause : std::min(2 * retry_.pause, longest);
    return retry_.pause;
}

void ProcessSupervisor::await_retry(StopKind kind) {
    if (retry_.timer) return;
    arm_retry(retry_.pause == 0ms ? next_pause(kind) : retry_.pause);
}

void ProcessSupervisor::arm_retry(std::chrono::milliseconds pause) {
    if (auto status = draft(facts()); pause > 0ms && status.state == ProcessState::Failed) {
        if (!status.remedy) status.remedy = RemedyProgress();
        const auto at = std::chrono::system_clock::now() + pause;
        status.remedy->retry_at =
            std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
        node_->write(status);
    }
    const auto timer = std::make_shared<boost::asio::steady_timer>(node_->loop, pause);
    retry_.timer = timer;
    const std::weak_ptr<ProcessSupervisor> weak = weak_from_this();
    timer->async_wait([weak, timer](boost::system::error_code) {
        const auto self = weak.lock();
        // Another one has taken its place, or it is not wanted any more.
        if (!self || self->retry_.timer != timer) return;
        self->retry_.timer.reset();
        self->retry_.due = true;
        self->evaluate();
    });
}

void ProcessSupervisor::policy_changed() {
    if (node_->stopping) return;
    const auto now = facts();
    const bool refused = now.record && now.status && now.status->state == ProcessState::Failed &&
                         now.status->reason && now.status->reason->kind == StopKind::StartFailed &&
                         now.status->reason->step == refused_step;
    if (refused && !busy() && !unit_.alive() && !now.paused && !now.elsewhere &&
        wanted(now).desired == Desired::Running && allowed(*now.record))
        return begin(Act::Retry, now);
    evaluate();
}

void ProcessSupervisor::network_changed() {
    if (!retry_.timer) return;
    const auto now = std::chrono::steady_clock::now();
    const auto earliest = retry_.attempted ? std::max(now, *retry_.attempted + between_attempts) : now;
    if (retry_.timer->expiry() > earliest)
        arm_retry(std::chrono::ceil<std::chrono::milliseconds>(earliest - now));
}

} // namespace p2prc::process
