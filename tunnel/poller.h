// Edge-triggered readiness for sockets in bulk: one epoll set of its own, watched by Asio as a single
// descriptor.
//
// A socket of Asio's costs an operation, an allocation and an epoll_ctl(2) for each wait, a coroutine its
// frame. Here a socket is registered once and costs nothing while it is idle; what waits is an object with a
// virtual function.
#pragma once

#include "core/error.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace p2prc::tunnel {

// What is told of readiness. It may hold up to eight descriptors, told apart by `which` (0 to 7).
class alignas(8) PollHandler {
  public:
    virtual ~PollHandler() = default;
    // `events` are those of epoll(7). Called on the executor's thread. Must not destroy a handler, not even
    // itself: Poller::retire does that when no event that was already fetched can name it any more.
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

    // Tells `handler` of every change of `fd` in `events` (EPOLLIN, EPOLLOUT, EPOLLRDHUP; edge-triggered;
    // what is ready already is told too). Closing `fd` ends it.
    Result<void> add(int fd, std::uint32_t events, PollHandler& handler, unsigned which);
    // The same for an `fd` that was added before, by whomever.
    Result<void> change(int fd, std::uint32_t events, PollHandler& handler, unsigned which);
    void remove(int fd) noexcept;

    // Calls on_again once, after the events at hand: for work that is cut up so as not to starve others.
    void again(PollHandler& handler);
    // Destroys `handler` once the events at hand are done. It may still be told of some: it must ignore them.
    void retire(std::unique_ptr<PollHandler> handler);

  private:
    struct Loop;
    std::shared_ptr<Loop> loop_;
};

} // namespace p2prc::tunnel
