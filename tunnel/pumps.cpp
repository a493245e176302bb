#include "tunnel/pumps.h"

#include "tunnel/pump.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace p2prc::tunnel {

using Clock = std::chrono::steady_clock;

PumpSet::PumpSet(Poller& a_poller, const PumpOptions& some_options)
    : poller(a_poller)
    , options(some_options)
    , pool(options.pipe_bytes, options.pipes, options.small_pipes)
    , timer(poller.executor())
    , tick(std::clamp<std::chrono::milliseconds>(
          std::min({options.idle, options.half_closed, options.silence}) / 4, std::chrono::milliseconds(10),
          std::chrono::seconds(1))) {}

PumpSet::~PumpSet() = default;

void PumpSet::arm() {
    if (pumps.empty()) return;
    timer.arm(tick, [weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->sweep();
        self->arm();
    });
}

void PumpSet::sweep() {
    now = Clock::now();
    look = now >= next_look;
    if (look) next_look = now + options.silence / 8;
    // From the back: a pump that finishes is replaced by the last, which was visited already.
    for (std::size_t i = pumps.size(); i-- > 0;)
        if (i < pumps.size()) pumps[i]->check();
}

void PumpSet::add(std::unique_ptr<Pump> pump) {
    pump->index = pumps.size();
    pumps.push_back(std::move(pump));
    if (!timer.armed()) now = Clock::now();
    arm();
}

std::unique_ptr<Pump> PumpSet::remove(Pump& pump) {
    const auto index = pump.index;
    auto self = std::move(pumps[index]);
    if (index + 1 != pumps.size()) {
        pumps[index] = std::move(pumps.back());
        pumps[index]->index = index;
    }
    pumps.pop_back();
    return self;
}

Pumps::Pumps(Poller& poller, PumpOptions options) : shared_(std::make_shared<PumpSet>(poller, options)) {}

Pumps::~Pumps() {
    for (auto& pump : shared_->pumps) {
        pump->close();
        shared_->poller.retire(std::move(pump));
    }
    shared_->pumps.clear();
}

void Pumps::start(PumpSockets sockets, Done done) {
    const bool a_polled = sockets.a_polled, b_polled = sockets.b_polled;
    auto owned = std::make_unique<Pump>(*shared_, std::move(sockets), std::move(done));
    auto& pump = *owned;
    shared_->add(std::move(owned));
    if (pump.watch(a_polled, b_polled)) return;
    boost::asio::post(shared_->poller.executor(), [weak = std::weak_ptr(shared_), address = &pump] {
        const auto shared = weak.lock();
        if (!shared) return;
        const auto found = std::ranges::find(shared->pumps, address, &std::unique_ptr<Pump>::get);
        if (found != shared->pumps.end()) (*found)->finish(PumpEnd::Stopped);
    });
}

std::size_t Pumps::size() const noexcept {
    return shared_->pumps.size();
}

std::size_t Pumps::busy(std::chrono::milliseconds within, std::uint32_t except) const noexcept {
    const auto since = shared_->now - within;
    return static_cast<std::size_t>(std::ranges::count_if(
        shared_->pumps, [&](const auto& pump) { return pump->group() != except && pump->active() > since; }));
}

std::uint64_t Pumps::bytes() const noexcept {
    return shared_->bytes;
}

void Pumps::stop(std::uint32_t group) {
    // From the back: a pump that ends is replaced by the last, which was visited already.
    for (std::size_t i = shared_->pumps.size(); i-- > 0;)
        if (i < shared_->pumps.size() && shared_->pumps[i]->group() == group)
            shared_->pumps[i]->abort(PumpEnd::Stopped);
}

} // namespace p2prc::tunnel
