// Owns connections in a short phase, each with a deadline, and calls those whose deadline has passed.
#pragma once

#include "net/one_shot_timer.h"
#include "tunnel/poller.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace p2prc::edge {

// What a TimedSet holds.
class TimedHandler : public tunnel::PollHandler {
  public:
    // The deadline has passed. Must remove itself from the set.
    virtual void on_deadline() = 0;

  private:
    template <class>
    friend class TimedSet;
    std::size_t index_ = 0;
    std::chrono::steady_clock::time_point deadline_;
};

// One timer serves all and runs only while there are any; deadlines are exact to a tenth of a second.
template <class Handler>
class TimedSet {
  public:
    explicit TimedSet(tunnel::Poller& poller) : poller_(poller), timer_(poller.executor()) {}
    ~TimedSet() {
        for (auto& handler : handlers_)
            poller_.retire(std::move(handler));
    }
    TimedSet(const TimedSet&) = delete;
    TimedSet& operator=(const TimedSet&) = delete;

    Handler& add(std::unique_ptr<Handler> handler, std::chrono::milliseconds time) {
        auto& added = *handler;
        added.index_ = handlers_.size();
        added.deadline_ = std::chrono::steady_clock::now() + time;
        handlers_.push_back(std::move(handler));
        arm();
        return added;
    }

    // Removes the handler. It is destroyed once no event can refer to it any more.
    void remove(Handler& handler) {
        const auto index = handler.index_;
        auto self = std::move(handlers_[index]);
        if (index + 1 != handlers_.size()) {
            handlers_[index] = std::move(handlers_.back());
            handlers_[index]->index_ = index;
        }
        handlers_.pop_back();
        poller_.retire(std::move(self));
    }

    std::size_t size() const noexcept { return handlers_.size(); }

  private:
    static constexpr std::chrono::milliseconds tick{100};

    void arm() {
        timer_.arm(tick, [this] {
            const auto now = std::chrono::steady_clock::now();
            // From the back: a handler that is removed is replaced by the last, which was visited already.
            for (std::size_t i = handlers_.size(); i-- > 0;)
                if (i < handlers_.size() && handlers_[i]->deadline_ <= now) handlers_[i]->on_deadline();
            if (!handlers_.empty()) arm();
        });
    }

    tunnel::Poller& poller_;
    net::OneShotTimer timer_;
    std::vector<std::unique_ptr<Handler>> handlers_;
};

} // namespace p2prc::edge
