#include "connector/tls_pumps.h"

#include "connector/local_dial.h"
#include "connector/tls_pump.h"
#include "net/one_shot_timer.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace p2prc::connector {
namespace {

constexpr std::uint32_t pump_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
constexpr std::chrono::milliseconds tick_interval{5000};
// How often those are looked at whose end is a reset that waits for what was said before it.
constexpr std::chrono::milliseconds reset_interval{50};
// How often those are looked at that wait for another application.
constexpr std::chrono::milliseconds left_interval{50};

} // namespace

struct TlsPumps::State : std::enable_shared_from_this<TlsPumps::State> {
    // A client whose application has ended before it heard anything, once at least.
    struct Left {
        std::uint32_t mapping;
        std::set<std::uint64_t> groups; // of the run that has ended
        Redial redial;
        bool waits = true; // for news of it, or for another one
        bool gone = false; // that run is known to be over
        bool last = false; // it was dialled when the time was over
    };

    State(tunnel::Poller& poller_, TlsPumpOptions options_, Replacements replacements_)
        : poller(poller_)
        , options(options_)
        , replacements(std::move(replacements_))
        , timer(poller_.executor())
        , reset_timer(poller_.executor())
        , left_timer(poller_.executor()) {}

    void start(AcceptedFlow flow, tunnel::TrafficShare traffic) {
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
        reference.set_traffic(std::move(traffic));
        pumps.emplace(&reference, std::move(pump));
        if (replacements.resolve && flow.mapping != 0)
            reference.set_left(
                [this, mapping = flow.mapping](TlsPump& alone) { return is_left(alone, mapping); });
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
        left.erase(&pump);
        std::unique_ptr<TlsPump> last = std::move(found->second);
        pumps.erase(found);
        poller.retire(std::move(last));
    }

    // Worth another try, or a page.
    bool is_left(TlsPump& pump, std::uint32_t mapping) {
        const Resolved now = replacements.resolve(mapping);
        if (now.answer != tunnel::Answer::Accepted) return false;
        if (now.hold.count() == 0 && now.trouble == Trouble::NoAnswer) return false;
        if (left.size() >= options.without_application) return false;
        Left& entry = left.try_emplace(&pump, Left{mapping, now.groups, {std::chrono::steady_clock::now()}})
                          .first->second;
        entry.waits = true;
        schedule_left();
        return true;
    }

    void schedule_left() {
        left_timer.arm(left_interval, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            self->look_at_left(false);
            if (std::ranges::any_of(self->left, [](const auto& entry) { return entry.second.waits; }))
                self->schedule_left();
        });
    }

    void look_at_left(bool news) {
        std::vector<TlsPump*> all;
        for (const auto& [pump, entry] : left)
            if (entry.waits) all.push_back(pump);
        for (TlsPump* pump : all)
            if (const auto found = left.find(pump); found != left.end()) replace(*pump, found->second, news);
    }

    void replace(TlsPump& pump, Left& entry, bool news) {
        if (!pump.undecided()) { // its client has left
            entry.waits = false;
            return;
        }
        const auto now = std::chrono::steady_clock::now();
        const Resolved resolved = replacements.resolve(entry.mapping);
        if (resolved.answer != tunnel::Answer::Accepted) return pump.abort();
        const bool over = now - entry.redial.since >= resolved.hold;
        entry.gone = entry.gone || resolved.trouble != Trouble::NoAnswer || resolved.groups != entry.groups;
        if (!entry.gone) {
            // No news: it still runs, and closes connections for reasons of its own.
            if (over) keep(pump);
            return;
        }
        // Once more when it is over: a process that runs by now is held for less than one that was coming.
        const bool due = over ? !std::exchange(entry.last, true) : news || now >= entry.redial.again;
        if (resolved.target && due) {
            entry.redial.failed(now);
            if (net::UniqueFd application = dial_at_once(*resolved.target, resolved.groups)) {
                entry.waits = entry.gone = false;
                entry.groups = resolved.groups;
                return give(pump, std::move(application));
            }
        }
        if (over) replace_by_page(pump, entry.mapping, resolved.trouble);
    }

    void keep(TlsPump& pump) {
        left.erase(&pump);
        pump.keep_application();
    }

    void replace_by_page(TlsPump& pump, std::uint32_t mapping, Trouble trouble) {
        std::array<int, 2> ends{};
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
            return pump.abort();
        left.erase(&pump);
        pump.set_left({});
        net::UniqueFd application(ends[0]);
        replacements.page(net::UniqueFd(ends[1]), trouble, mapping);
        give(pump, std::move(application));
    }

    void give(TlsPump& pump, net::UniqueFd application) {
        if (!poller.add(application.get(), pump_events, pump, TlsPump::application_side)) return pump.abort();
        pump.replace_application(std::move(application));
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
    Replacements replacements;
    net::OneShotTimer timer;
    net::OneShotTimer reset_timer;
    net::OneShotTimer left_timer;
    std::unordered_map<TlsPump*, Left> left;
    std::unordered_set<TlsPump*> resetting;
    std::unordered_map<TlsPump*, std::unique_ptr<TlsPump>> pumps;
};

TlsPumps::TlsPumps(tunnel::Poller& poller, TlsPumpOptions options, Replacements replacements)
    : state_(std::make_shared<State>(poller, options, std::move(replacements))) {}

TlsPumps::~TlsPumps() {
    state_->timer.cancel();
    state_->reset_timer.cancel();
    state_->left_timer.cancel();
    state_->resetting.clear();
    state_->left.clear();
    state_->pumps.clear();
}

void TlsPumps::start(AcceptedFlow flow, tunnel::TrafficShare traffic) {
    state_->start(std::move(flow), std::move(traffic));
}

void TlsPumps::mappings_changed() {
    state_->look_at_left(true);
}

std::size_t TlsPumps::waiting() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(state_->left, [](const auto& entry) { return entry.first->undecided(); }));
}

std::size_t TlsPumps::size() const noexcept {
    return state_->pumps.size();
}

} // namespace p2prc::connector
