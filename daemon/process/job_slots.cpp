#include "daemon/process/job_slots.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace p2prc::daemon {

namespace asio = boost::asio;

asio::awaitable<JobSlots::Holder> JobSlots::acquire() {
    if (free_ > 0) {
        --free_;
        co_return Holder(*this);
    }
    auto turn = std::make_shared<asio::steady_timer>(executor_, asio::steady_timer::time_point::max());
    waiting_.push_back(turn);
    boost::system::error_code ignored;
    co_await turn->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    co_return Holder(*this); // release() passed its slot on
}

void JobSlots::release() {
    if (waiting_.empty()) {
        ++free_;
        return;
    }
    const auto turn = waiting_.front();
    waiting_.pop_front();
    turn->cancel();
}

} // namespace p2prc::daemon
