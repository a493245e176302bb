#include "process/reconciler_impl.h"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>

namespace p2prc::process {

using namespace std::chrono_literals;

namespace {

// A network that comes and goes is no reason to try more often.
constexpr auto between_attempts = 5s;

} // namespace

// systemd gave it up because it failed too often in a minute. What it lacks, such as a network after a power
// cut, may come later: it is tried again for as long as it is wanted, and ever more seldom.
bool Reconciler::Impl::is_to_be_retried(const Facts& now) const {
    if (!now.record || !now.status || now.status->state != ProcessState::Failed) return false;
    if (!now.status->reason || now.status->reason->kind != StopKind::StartLimit) return false;
    const auto want = wanted(*now.record, now.local ? &*now.local : nullptr);
    return want.desired == Desired::Running && now.record->spec.run.restart != Restart::No;
}

std::chrono::milliseconds Reconciler::Impl::next_pause(Slot& slot) const {
    auto& retry = slot.retry;
    const auto ran = std::chrono::steady_clock::now() - retry.attempted;
    const bool anew = retry.pause == 0ms || ran > options.longest_retry_pause + retry.pause;
    retry.pause = anew ? options.first_retry_pause : std::min(2 * retry.pause, options.longest_retry_pause);
    return retry.pause;
}

void Reconciler::Impl::await_retry(const std::string& name) {
    auto& slot = slots_[name];
    if (slot.retry.timer) return;
    arm_retry(name, slot.retry.pause == 0ms ? next_pause(slot) : slot.retry.pause);
}

void Reconciler::Impl::arm_retry(const std::string& name, std::chrono::milliseconds pause) {
    const auto timer = std::make_shared<boost::asio::steady_timer>(loop_, pause);
    slots_[name].retry.timer = timer;
    const std::weak_ptr<Impl> weak = weak_from_this();
    timer->async_wait([weak, timer, name](boost::system::error_code) {
        const auto impl = weak.lock();
        const auto slot = impl ? impl->slots_.find(name) : decltype(impl->slots_.find(name)){};
        // Another one has taken its place, or it is not wanted any more.
        if (!impl || slot == impl->slots_.end() || slot->second.retry.timer != timer) return;
        slot->second.retry.timer.reset();
        slot->second.retry.due = true;
        impl->evaluate(name);
    });
}

void Reconciler::Impl::network_changed() {
    if (stopping) return;
    const auto now = std::chrono::steady_clock::now();
    std::vector<std::pair<std::string, std::chrono::milliseconds>> waiting;
    for (const auto& [name, slot] : slots_) {
        if (!slot.retry.timer) continue;
        const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(now - slot.retry.attempted);
        const std::chrono::milliseconds left =
            std::max<std::chrono::milliseconds>(0ms, between_attempts - since);
        if (slot.retry.timer->expiry() > now + left) waiting.emplace_back(name, left);
    }
    for (const auto& [name, pause] : waiting)
        arm_retry(name, pause);
}

} // namespace p2prc::process
