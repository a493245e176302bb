#include "connector/tls_pumps.h"

#include "connector/tls_pump.h"
#include "net/one_shot_timer.h"

#include <sys/epoll.h>

#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace p2prc::connector {
namespace {

constexpr std::uint32_t pump_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
constexpr std::chrono::milliseconds tick_interval{5000};
// How often those are looked at whose end is a reset that waits for what was said before it.
constexpr std::chrono::milliseconds reset_interval{50};

} // namespace

struct TlsPumps::State : std::enable_shared_from_this<TlsPumps::State> {
    State(tunnel::Poller& poller_, TlsPumpOptions options_)
        : poller(poller_)
        , options(options_)
        , timer(poller_.executor())
        , reset_timer(poller_.executor()) {}

    void start(AcceptedFlow flow) {
        const int tunnel = flow.tunnel.get();
        const int application = flow.application.get();
        auto pump = std::make_unique<TlsPump>(
            poller, flow.tls.get(), std::move(flow.tunnel), std::move(flow.application),
            std::move(flow.received), [this](TlsPump& over) { retire(over); },
            [this](TlsPump& waits) {
                resetting.insert(&waits);
                schedule_resets();
            });
        TlsPump& reference = *pump;
        pumps.emplace(&reference, std::move(pump));
        const auto watched =
            flow.application_polled
                ? poller.change(application, pump_events, reference, TlsPump::application_side)
                : poller.add(application, pump_events, reference, TlsPump::application_side);
        if (!poller.change(tunnel, pump_events, reference, TlsPump::tunnel_side) || !watched)
            return reference.abort();
        reference.begin();
        schedule_tick();
    }

    void retire(TlsPump& pump) {
        const auto found = pumps.find(&pump);
        if (found == pumps.end()) return;
        resetting.erase(&pump);
        std::unique_ptr<TlsPump> last = std::move(found->second);
        pumps.erase(found);
        poller.retire(std::move(last));
    }

    void schedule_tick() {
        timer.arm(tick_interval, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->tick();
        });
    }

    void schedule_resets() {
        reset_timer.arm(reset_interval, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            // One that is done leaves the set.
            const std::vector<TlsPump*> all(self->resetting.begin(), self->resetting.end());
            for (TlsPump* pump : all)
                pump->check();
            if (!self->resetting.empty()) self->schedule_resets();
        });
    }

    void tick() {
        const auto now = std::chrono::steady_clock::now();
        std::vector<TlsPump*> late;
        for (const auto& [pump, owner] : pumps) {
            const auto limit = !pump->secured()      ? options.handshake
                               : pump->half_closed() ? options.half_closed
                                                     : options.idle;
            const auto quiet = now - pump->active();
            if (quiet >= limit || (quiet >= options.silence && pump->silent(options.silence)))
                late.push_back(pump);
        }
        for (TlsPump* pump : late)
            pump->abort();
        if (!pumps.empty()) schedule_tick();
    }

    tunnel::Poller& poller;
    TlsPumpOptions options;
    net::OneShotTimer timer;
    net::OneShotTimer reset_timer;
    std::unordered_set<TlsPump*> resetting;
    std::unordered_map<TlsPump*, std::unique_ptr<TlsPump>> pumps;
};

TlsPumps::TlsPumps(tunnel::Poller& poller, TlsPumpOptions options)
    : state_(std::make_shared<State>(poller, options)) {}

TlsPumps::~TlsPumps() {
    state_->timer.cancel();
    state_->reset_timer.cancel();
    state_->resetting.clear();
    state_->pumps.clear();
}

void TlsPumps::start(AcceptedFlow flow) {
    state_->start(std::move(flow));
}

std::size_t TlsPumps::size() const noexcept {
    return state_->pumps.size();
}

} // namespace p2prc::connector
