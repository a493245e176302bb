// Edge-triggered readiness for sockets in bulk: one epoll set of its own, watched by Asio as a single
// descriptor.
//
// With Asio, each wait on a socket costs an operation, an allocation and an epoll_ctl(2), and a coroutine its
// frame. Here a socket is registered once and costs nothing while it is idle; a handler is an object with a
// virtual function.
#pragma once

#include "core/error.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace p2prc::tunnel {

// Called when a descriptor is ready. It may hold up to eight descriptors, distinguished by `which` (0 to 7).
class alignas(8) PollHandler {
  public:
    virtual ~PollHandler() = default;
    // `events` are those of epoll(7). Called on the executor's thread. Must not destroy a handler, not even
    // itself: Poller::retire does that once no fetched event can refer to it any more.
    virtual void on_ready(unsigned which, std::uint32_t events) = 0;
    // After Poller::again.
    virtual void on_again() {}
};

// Not thread-safe: everything happens on the executor, which must run on one thread. Must outlive the
// handlers.
class Poller {
  public:
    explicit Poller(boost::asio::any_io_executor executor);
    ~Poller();
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;

    boost::asio::any_io_executor executor() const;

    // Calls `handler` for every change of `fd` in `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP; edge-triggered;
    // also if it is ready already). Closing `fd` ends it, unless somebody else holds it too, as systemd does
    // with what it passes on (epoll(7), question 6): then remove() must come first.
    Result<void> add(int fd, std::uint32_t events, PollHandler& handler, unsigned which);
    // The same for an `fd` that was added before, by any handler.
    Result<void> change(int fd, std::uint32_t events, PollHandler& handler, unsigned which);
    void remove(int fd) noexcept;

    // Calls on_again once, after the current events: for work that is split so as not to starve others.
    void again(PollHandler& handler);
    // Destroys `handler` after the current events. It may still receive some of them and must ignore them.
    void retire(std::unique_ptr<PollHandler> handler);

  private:
    struct Loop;
    std::shared_ptr<Loop> loop_;
};

} // namespace p2prc::tunnel
