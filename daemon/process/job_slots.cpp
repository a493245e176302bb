#include "daemon/process/job_slots.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace p2prc::daemon {

namespace asio = boost::asio;

bool JobSlots::has_room(const std::string& maker) const {
    const auto held = held_.find(maker);
    return taken_ < count_ && (held == held_.end() || held->second < each_);
}

void JobSlots::take(const std::string& maker) {
    ++taken_;
    ++held_[maker];
}

asio::awaitable<JobSlots::Holder> JobSlots::acquire(std::string maker) {
    if (has_room(maker)) {
        take(maker);
        co_return Holder(*this, std::move(maker));
    }
    auto timer = std::make_shared<asio::steady_timer>(executor_, asio::steady_timer::time_point::max());
    waiting_.push_back({maker, timer});
    boost::system::error_code ignored;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return Holder(*this, std::move(maker)); // release() has taken its slot
}

void JobSlots::release(const std::string& maker) {
    --taken_;
    if (const auto held = held_.find(maker); --held->second == 0) held_.erase(held);
    const auto next =
        std::ranges::find_if(waiting_, [this](const Turn& turn) { return has_room(turn.maker); });
    if (next == waiting_.end()) return;
    take(next->maker);
    next->timer->cancel();
    waiting_.erase(next);
}

JobQueues::JobQueues(const asio::any_io_executor& executor)
    : own_(executor, 16, 16)
    , certificates_(executor, 16, 16)
    , local_starts_(executor, 16, 16)
    , local_stops_(executor, 64, 64)
    , remote_starts_(executor, 16, 8)
    , remote_stops_(executor, 64, 16) {}

JobSlots& JobQueues::starts(JobShare::Kind kind) {
    switch (kind) {
    case JobShare::Kind::Own:
        break;
    case JobShare::Kind::Certificates:
        return certificates_;
    case JobShare::Kind::Local:
        return local_starts_;
    case JobShare::Kind::Remote:
        return remote_starts_;
    }
    return own_;
}

JobSlots& JobQueues::stops(JobShare::Kind kind) {
    if (kind == JobShare::Kind::Local) return local_stops_;
    if (kind == JobShare::Kind::Remote) return remote_stops_;
    return starts(kind); // short or seldom
}

} // namespace p2prc::daemon
