#include "link/feed_sender.h"

#include "net/event.h"
#include "net/log.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>

namespace p2prc::link {

namespace asio = boost::asio;

namespace {

// What may be on its way to a member before more is made for it.
constexpr std::size_t mark = 256 << 10;
// A member that takes nothing for so long, while so many steps wait for it, is cut off; it asks again.
constexpr std::size_t most_waiting = 1024;
// So is one, also if it takes a little, for which more changes wait than this: some hundred thousand usual
// ones. The whole state is not counted, for all who need it share one.
constexpr std::size_t most_bytes_waiting = 32 << 20;
constexpr auto stuck_timeout = std::chrono::seconds(30);

std::size_t bytes_of_changes(const state::FeedStep& step) {
    if (step.reset) return 0;
    std::size_t bytes = frame_overhead;
    for (const auto& item : step.items)
        bytes += item.key.size() + (item.value ? item.value->size() : 0);
    return bytes;
}

} // namespace

FeedSender::FeedSender(asio::any_io_executor executor, std::shared_ptr<Session> session)
    : executor_(std::move(executor))
    , session_(std::move(session)) {}

void FeedSender::push(std::shared_ptr<const state::FeedStep> step) {
    const auto bytes = bytes_of_changes(*step);
    push_step(FeedWriter(std::move(step)), bytes);
}

void FeedSender::push(Json document) {
    push_step(std::move(document), 0);
}

void FeedSender::push_step(Step step, std::size_t bytes) {
    if (session_->closed()) return;
    steps_.push_back({std::move(step), bytes});
    bytes_ += bytes;
    if (bytes_ > most_bytes_waiting || (steps_.size() > most_waiting && session_->stuck() > stuck_timeout)) {
        session_->close(Error{ErrorCode::Unreachable, "the peer does not read what it gets"});
        return;
    }
    if (sending_ || send_some()) return;
    sending_ = true;
    asio::co_spawn(executor_, send_all(shared_from_this()),
                   net::ReportFailure("feeding a member the fleet's state"));
}

// True when nothing is left to be sent.
bool FeedSender::send_some() {
    while (!steps_.empty() && session_->unsent() < mark && !session_->closed()) {
        auto* event = std::get_if<FeedWriter>(&steps_.front().step);
        if (event)
            session_->send_frame(event->next());
        else
            session_->send(std::get<Json>(steps_.front().step));
        if (event && !event->done()) continue;
        if (event)
            for (const auto& key : event->too_large())
                net::log_error("the value of " + key + " is too large for the control link and was not sent");
        bytes_ -= steps_.front().bytes;
        steps_.pop_front();
        ++done_;
    }
    if (session_->closed()) steps_.clear();
    wake();
    return steps_.empty();
}

asio::awaitable<void> FeedSender::send_all(std::shared_ptr<FeedSender> /* keeps it alive */) {
    while (!send_some())
        co_await session_->room(mark);
    sending_ = false;
}

void FeedSender::wake() {
    const auto reached = [this](const Waiter& waiter) { return session_->closed() || waiter.until <= done_; };
    for (const auto& waiter : waiters_)
        if (reached(waiter)) waiter.done->set();
    std::erase_if(waiters_, reached);
}

asio::awaitable<void> FeedSender::caught_up() {
    const auto self = shared_from_this();
    if (steps_.empty() || session_->closed()) co_return;
    const auto done = std::make_shared<net::Event>(executor_);
    waiters_.push_back({done_ + steps_.size(), done});
    co_await done->wait();
}

} // namespace p2prc::link
