#include "tunnel/poller.h"

#include "net/fd.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace p2prc::tunnel {
namespace {

constexpr std::uint64_t which_mask = 7; // a handler's address has its low three bits free

std::uint64_t pack(PollHandler& handler, unsigned which) noexcept {
    return reinterpret_cast<std::uintptr_t>(&handler) | (which & which_mask);
}

} // namespace

struct Poller::Loop : std::enable_shared_from_this<Poller::Loop> {
    static constexpr std::size_t batch = 256;

    explicit Loop(boost::asio::any_io_executor executor) : epoll(executor) {
        const int fd = epoll_create1(EPOLL_CLOEXEC);
        if (fd < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
        epoll.assign(fd);
    }

    void wait() {
        waiting = true;
        epoll.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](const boost::system::error_code& error) {
                             self->waiting = false;
                             if (!error) self->iterate();
                         });
    }

    // Schedules an iteration although no descriptor is ready. A running one schedules the next at its end.
    void iterate_soon() {
        if (iterating || std::exchange(posted, true)) return;
        boost::asio::post(epoll.get_executor(), [self = shared_from_this()] {
            self->posted = false;
            self->iterate();
        });
    }

    void iterate() {
        if (closed) return;
        iterating = true;
        const int count =
            epoll_wait(epoll.native_handle(), events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count && !closed; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            auto* handler = reinterpret_cast<PollHandler*>(event.data.u64 & ~which_mask);
            handler->on_ready(static_cast<unsigned>(event.data.u64 & which_mask), event.events);
        }
        calling.swap(again);
        for (std::size_t i = 0; i < calling.size() && !closed; ++i)
            if (calling[i]) calling[i]->on_again();
        calling.clear();
        // A handler's destructor may retire another.
        while (!retired.empty())
            std::exchange(retired, {}).clear();
        iterating = false;
        if (closed) return;
        if (count == static_cast<int>(batch) || !again.empty()) iterate_soon();
        if (!waiting) wait();
    }

    boost::asio::posix::stream_descriptor epoll;
    std::array<epoll_event, batch> events{};
    std::vector<PollHandler*> again;
    std::vector<PollHandler*> calling;
    std::vector<std::unique_ptr<PollHandler>> retired;
    bool waiting = false;
    bool iterating = false;
    bool posted = false;
    bool closed = false;
};

Poller::Poller(boost::asio::any_io_executor executor) : loop_(std::make_shared<Loop>(std::move(executor))) {
    loop_->wait();
}

Poller::~Poller() {
    loop_->closed = true;
    loop_->again.clear();
    loop_->retired.clear();
    loop_->epoll.close();
}

boost::asio::any_io_executor Poller::executor() const {
    return loop_->epoll.get_executor();
}

Result<void> Poller::add(int fd, std::uint32_t events, PollHandler& handler, unsigned which) {
    epoll_event event{.events = events | EPOLLET, .data = {.u64 = pack(handler, which)}};
    if (epoll_ctl(loop_->epoll.native_handle(), EPOLL_CTL_ADD, fd, &event) != 0)
        return std::unexpected(system_error("cannot watch a connection", errno));
    return {};
}

Result<void> Poller::change(int fd, std::uint32_t events, PollHandler& handler, unsigned which) {
    epoll_event event{.events = events | EPOLLET, .data = {.u64 = pack(handler, which)}};
    if (epoll_ctl(loop_->epoll.native_handle(), EPOLL_CTL_MOD, fd, &event) != 0)
        return std::unexpected(system_error("cannot watch a connection", errno));
    return {};
}

void Poller::remove(int fd) noexcept {
    epoll_event event{};
    epoll_ctl(loop_->epoll.native_handle(), EPOLL_CTL_DEL, fd, &event);
}

void Poller::again(PollHandler& handler) {
    loop_->again.push_back(&handler);
    loop_->iterate_soon();
}

void Poller::retire(std::unique_ptr<PollHandler> handler) {
    std::ranges::replace(loop_->again, handler.get(), nullptr);
    std::erase(loop_->again, nullptr);
    std::ranges::replace(loop_->calling, handler.get(), nullptr);
    loop_->retired.push_back(std::move(handler));
    loop_->iterate_soon();
}

} // namespace p2prc::tunnel
