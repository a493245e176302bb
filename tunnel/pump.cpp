#include "tunnel/pump.h"

#include "tunnel/pipe_pool.h"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <linux/sockios.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <utility>
#include <vector>

namespace p2prc::tunnel {
namespace {

constexpr std::size_t scratch_bytes = 32 * 1024;
// What one connection may move before others have their turn.
constexpr int rounds_a_turn = 16;
// A reset waits this long for bytes that were relayed before it, which the kernel would throw away.
constexpr std::chrono::seconds reset_patience{5};

constexpr std::uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;

using Clock = std::chrono::steady_clock;

// Whether the kernel holds bytes that the far end has not acknowledged (tcp(7), unix(7)). A FIN counts as
// one.
bool output_queued(int fd, bool fin_sent) noexcept {
    int bytes = 0;
    return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > (fin_sent ? 1 : 0);
}

} // namespace

class Pump;

struct Pumps::Shared : std::enable_shared_from_this<Pumps::Shared> {
    // Both where Pump is complete: they destroy pumps.
    Shared(Poller& a_poller, const PumpOptions& some_options);
    ~Shared();

    void arm();
    void sweep();
    void add(std::unique_ptr<Pump> pump);
    std::unique_ptr<Pump> remove(Pump& pump);

    Poller& poller;
    PumpOptions options;
    PipePool pool;
    boost::asio::steady_timer timer;
    std::chrono::milliseconds tick;
    bool armed = false;
    Clock::time_point now = Clock::now(); // as of the last tick
    std::vector<std::unique_ptr<Pump>> pumps;
    std::uint64_t bytes = 0;
    // One for all: nothing stays in it from one call to the next.
    std::array<char, scratch_bytes> scratch;
};

// One connection. Side 0 is a, side 1 is b; direction d carries from side d to side 1 - d.
class Pump final : public PollHandler {
  public:
    Pump(Pumps::Shared& shared, PumpSockets sockets, Pumps::Done done)
        : shared_(shared)
        , done_(std::move(done))
        , group_(sockets.group) {
        sides_[0].fd = std::move(sockets.a);
        sides_[1].fd = std::move(sockets.b);
        set_head(0, std::move(sockets.to_b));
        set_head(1, std::move(sockets.to_a));
        active_ = shared_.now;
    }

    bool watch(bool a_polled, bool b_polled) {
        for (unsigned side = 0; side < 2; ++side) {
            const bool polled = side == 0 ? a_polled : b_polled;
            const int fd = sides_[side].fd.get();
            if (!(polled ? shared_.poller.change(fd, all_events, *this, side)
                         : shared_.poller.add(fd, all_events, *this, side)))
                return false;
        }
        return true;
    }

    void on_ready(unsigned side, std::uint32_t events) override {
        if (closed_) return;
        auto& at = sides_[side];
        const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (ended) at.ending = true;
        if (ended || (events & EPOLLIN)) at.readable = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) at.writable = true;
        if (resetting_) return;
        if (at.readable) move(side);
        if (at.writable && !closed_ && !resetting_) move(1 - side);
        // Nothing is read from a side that has sent its FIN: a reset after it is seen here only.
        if ((events & EPOLLERR) && !closed_ && !resetting_ && ways_[side].done) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(at.fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0) reset(1 - side);
        }
    }

    void on_again() override {
        if (closed_ || resetting_) return;
        move(0);
        if (!closed_ && !resetting_) move(1);
    }

    // Looks at the clock.
    void check() {
        if (resetting_) {
            if (!output_queued(sides_[victim_].fd.get(), fin_sent_) ||
                shared_.now - active_ >= reset_patience)
                finish(PumpEnd::Reset);
            return;
        }
        const auto quiet = shared_.now - active_;
        if ((ways_[0].done || ways_[1].done) && quiet >= shared_.options.half_closed)
            finish(PumpEnd::HalfClosedTimeout);
        else if (quiet >= shared_.options.idle)
            finish(PumpEnd::IdleTimeout);
    }

    void finish(PumpEnd end) {
        const PumpResult result{end, ways_[0].total, ways_[1].total};
        close();
        auto self = shared_.remove(*this);
        auto done = std::move(done_);
        shared_.poller.retire(std::move(self));
        if (done) done(result);
    }

    void close() {
        closed_ = true;
        for (auto& way : ways_)
            drop(way);
        for (auto& side : sides_)
            side.fd.reset();
    }

    // Both ends get a reset.
    void abort(PumpEnd end) {
        for (auto& side : sides_)
            make_abortive(side);
        finish(end);
    }

    Clock::time_point active() const noexcept { return active_; }
    std::uint32_t group() const noexcept { return group_; }

    std::size_t index = 0; // in Shared::pumps

  private:
    struct Side {
        net::UniqueFd fd;
        bool readable = false;
        bool writable = false;
        bool ending = false; // its FIN or reset has come: a short read does not mean that nothing is left
        bool broken = false; // writing to it failed: its end is a reset, whatever read says
    };
    struct Pending {
        std::string bytes;
        std::size_t offset = 0;
    };
    struct Way {
        std::uint64_t total = 0;
        std::unique_ptr<Pending> pending; // goes out before what is in the pipe
        std::unique_ptr<Pipe> pipe;
        std::size_t in_pipe = 0;
        std::size_t burst = 0; // bytes since the source was last found empty
        bool bulk = false;     // reads fill the buffer: splice
        bool no_splice = false;
        bool eof = false;       // the source has ended
        bool was_reset = false; // by a reset
        bool done = false;      // and the sink has been told
    };

    void set_head(unsigned direction, std::string head) {
        if (!head.empty()) ways_[direction].pending = std::make_unique<Pending>(Pending{std::move(head)});
    }

    static void make_abortive(Side& side) {
        if (!side.fd) return;
        const linger now{.l_onoff = 1, .l_linger = 0};
        setsockopt(side.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }

    void drop(Way& way) {
        way.pending.reset();
        if (way.pipe) shared_.pool.give_back(std::move(way.pipe), way.in_pipe == 0);
        way.in_pipe = 0;
    }

    void moved(Way& way, std::size_t bytes) {
        way.total += bytes;
        shared_.bytes += bytes;
        active_ = shared_.now;
    }

    // Carries what there is in one direction, until the source is empty, the sink full, or the turn over.
    void move(unsigned direction) {
        auto& way = ways_[direction];
        if (way.done) return;
        auto& source = sides_[direction];
        for (int round = 0; round < rounds_a_turn; ++round) {
            if (!flush(direction)) return;
            if (way.eof) {
                end_way(direction);
                return;
            }
            if (!source.readable) {
                rest(way);
                return;
            }
            if (way.bulk && !way.no_splice && !way.pipe) way.pipe = shared_.pool.take();
            if (way.pipe)
                fill_pipe(direction);
            else
                copy(direction);
            if (closed_ || way.done) return;
        }
        shared_.poller.again(*this);
    }

    // The source is empty: nothing is held until it is not.
    void rest(Way& way) {
        if (way.pipe) shared_.pool.give_back(std::move(way.pipe), true);
        if (way.burst < scratch_bytes) way.bulk = false;
        way.burst = 0;
    }

    // Once the source's end has come, the FIN follows within this turn, or as soon as the sink takes more:
    // the last bytes and it share a packet.
    static int send_flags(const Side& source) noexcept {
        return MSG_NOSIGNAL | (source.ending ? MSG_MORE : 0);
    }

    // Whether nothing is left to send in this direction, which then goes on.
    bool flush(unsigned direction) {
        auto& way = ways_[direction];
        auto& sink = sides_[1 - direction];
        while (way.pending || way.in_pipe > 0) {
            if (!sink.writable) return false;
            ssize_t sent = 0;
            if (way.pending) {
                const auto& rest_of = *way.pending;
                sent = send(sink.fd.get(), rest_of.bytes.data() + rest_of.offset,
                            rest_of.bytes.size() - rest_of.offset, send_flags(sides_[direction]));
            } else {
                // Without SPLICE_F_MORE: it would cork the tail of every burst for 200 ms.
                sent = splice(way.pipe->read_end.get(), nullptr, sink.fd.get(), nullptr, way.in_pipe,
                              SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            }
            if (sent < 0) {
                if (errno == EINTR) continue;
                // The pipe is known not to be empty, so this is about the socket.
                if (errno == EAGAIN) {
                    sink.writable = false;
                    return false;
                }
                sink_failed(direction);
                return false;
            }
            if (way.pending) {
                way.pending->offset += static_cast<std::size_t>(sent);
                if (way.pending->offset == way.pending->bytes.size()) way.pending.reset();
            } else {
                way.in_pipe -= static_cast<std::size_t>(sent);
            }
            moved(way, static_cast<std::size_t>(sent));
        }
        return true;
    }

    // The pipe is empty when this is called, so EAGAIN means that the socket is, not that the pipe is full.
    void fill_pipe(unsigned direction) {
        auto& way = ways_[direction];
        auto& source = sides_[direction];
        const ssize_t got = splice(source.fd.get(), nullptr, way.pipe->write_end.get(), nullptr,
                                   way.pipe->capacity, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (got > 0) {
            way.in_pipe = static_cast<std::size_t>(got);
            way.burst += static_cast<std::size_t>(got);
        } else if (got < 0 && errno == EINVAL) {
            way.no_splice = true;
            shared_.pool.give_back(std::move(way.pipe), true);
        } else {
            source_stopped(direction, got);
        }
    }

    void copy(unsigned direction) {
        auto& way = ways_[direction];
        auto& source = sides_[direction];
        auto& scratch = shared_.scratch;
        const ssize_t got = recv(source.fd.get(), scratch.data(), scratch.size(), 0);
        if (got <= 0) {
            source_stopped(direction, got);
            return;
        }
        const auto size = static_cast<std::size_t>(got);
        way.burst += size;
        if (size == scratch.size())
            way.bulk = true;
        else if (!source.ending)
            source.readable = false; // epoll(7): a short read has emptied a stream socket
        std::size_t sent = 0;
        if (sides_[1 - direction].writable) {
            const ssize_t now =
                send(sides_[1 - direction].fd.get(), scratch.data(), size, send_flags(source));
            if (now > 0) {
                sent = static_cast<std::size_t>(now);
                moved(way, sent);
            } else if (now < 0 && errno == EAGAIN) {
                sides_[1 - direction].writable = false;
            } else if (now < 0 && errno != EINTR) {
                sink_failed(direction);
                return;
            }
        }
        if (sent < size)
            way.pending = std::make_unique<Pending>(Pending{std::string(scratch.data() + sent, size - sent)});
    }

    // A read gave nothing: empty for now, ended, or failed.
    void source_stopped(unsigned direction, ssize_t got) {
        auto& way = ways_[direction];
        auto& source = sides_[direction];
        if (got < 0 && errno == EINTR) return;
        if (got < 0 && errno == EAGAIN) {
            source.readable = false;
            return;
        }
        way.eof = true;
        way.was_reset = got < 0 || source.broken;
    }

    // All that the source sent is with the sink's kernel: the end of it follows.
    void end_way(unsigned direction) {
        auto& way = ways_[direction];
        drop(way);
        way.done = true;
        if (way.was_reset)
            reset(1 - direction);
        else if (ways_[1 - direction].done)
            finish(PumpEnd::Finished);
        else if (shutdown(sides_[1 - direction].fd.get(), SHUT_WR) != 0)
            sink_failed(direction);
    }

    // The sink is gone. It may have said something before: that is carried back first.
    void sink_failed(unsigned direction) {
        auto& way = ways_[direction];
        drop(way);
        way.done = true;
        auto& back = ways_[1 - direction];
        if (back.done) {
            reset(direction);
            return;
        }
        auto& sink = sides_[1 - direction];
        sink.broken = sink.ending = sink.readable = true;
        if (back.eof) back.was_reset = true;
        move(1 - direction);
    }

    // Passes a reset on to `side`, after what was relayed to it.
    void reset(unsigned side) {
        fin_sent_ = ways_[1 - side].done && !ways_[1 - side].was_reset;
        sides_[1 - side].fd.reset();
        make_abortive(sides_[side]);
        for (auto& way : ways_)
            drop(way);
        if (!output_queued(sides_[side].fd.get(), fin_sent_)) {
            finish(PumpEnd::Reset);
            return;
        }
        resetting_ = true;
        victim_ = static_cast<std::uint8_t>(side);
    }

    Pumps::Shared& shared_;
    std::array<Side, 2> sides_;
    std::array<Way, 2> ways_;
    Pumps::Done done_;
    Clock::time_point active_;
    bool closed_ = false;
    bool resetting_ = false;
    bool fin_sent_ = false; // to the victim
    std::uint8_t victim_ = 0;
    std::uint32_t group_;
};

Pumps::Shared::Shared(Poller& a_poller, const PumpOptions& some_options)
    : poller(a_poller)
    , options(some_options)
    , pool(options.pipe_bytes, options.pipes, options.small_pipes)
    , timer(poller.executor())
    , tick(std::clamp<std::chrono::milliseconds>(std::min(options.idle, options.half_closed) / 4,
                                                 std::chrono::milliseconds(10), std::chrono::seconds(1))) {}

Pumps::Shared::~Shared() = default;

void Pumps::Shared::arm() {
    if (armed || pumps.empty()) return;
    armed = true;
    timer.expires_after(tick);
    timer.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || error) return;
        self->armed = false;
        self->sweep();
        self->arm();
    });
}

void Pumps::Shared::sweep() {
    now = Clock::now();
    // From the back: a pump that finishes is replaced by the last, which has been seen.
    for (std::size_t i = pumps.size(); i-- > 0;)
        if (i < pumps.size()) pumps[i]->check();
}

void Pumps::Shared::add(std::unique_ptr<Pump> pump) {
    pump->index = pumps.size();
    pumps.push_back(std::move(pump));
    if (!armed) now = Clock::now();
    arm();
}

std::unique_ptr<Pump> Pumps::Shared::remove(Pump& pump) {
    const auto index = pump.index;
    auto self = std::move(pumps[index]);
    if (index + 1 != pumps.size()) {
        pumps[index] = std::move(pumps.back());
        pumps[index]->index = index;
    }
    pumps.pop_back();
    return self;
}

std::string_view pump_end_name(PumpEnd end) noexcept {
    static constexpr std::array<std::string_view, 5> names{"finished", "reset", "idle-timeout",
                                                           "half-closed-timeout", "stopped"};
    return names[static_cast<std::size_t>(end)];
}

Pumps::Pumps(Poller& poller, PumpOptions options) : shared_(std::make_shared<Shared>(poller, options)) {
    // splice(2) has no MSG_NOSIGNAL: writing to a connection that was reset would end the program.
    std::signal(SIGPIPE, SIG_IGN);
}

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

boost::asio::awaitable<PumpResult> Pumps::run(PumpSockets sockets) {
    auto initiate = [](auto handler, Pumps* self, PumpSockets taken) {
        auto kept = std::make_shared<decltype(handler)>(std::move(handler));
        self->start(std::move(taken), [kept](const PumpResult& result) { std::move (*kept)(result); });
    };
    return boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void(PumpResult)>(
        initiate, boost::asio::use_awaitable, this, std::move(sockets));
}

std::size_t Pumps::size() const noexcept {
    return shared_->pumps.size();
}

std::size_t Pumps::busy(std::chrono::milliseconds within) const noexcept {
    const auto since = shared_->now - within;
    return static_cast<std::size_t>(
        std::ranges::count_if(shared_->pumps, [&](const auto& pump) { return pump->active() > since; }));
}

std::uint64_t Pumps::bytes() const noexcept {
    return shared_->bytes;
}

void Pumps::stop(std::uint32_t group) {
    // From the back: a pump that ends is replaced by the last, which has been seen.
    for (std::size_t i = shared_->pumps.size(); i-- > 0;)
        if (i < shared_->pumps.size() && shared_->pumps[i]->group() == group)
            shared_->pumps[i]->abort(PumpEnd::Stopped);
}

void Pumps::stop_all() {
    while (!shared_->pumps.empty())
        shared_->pumps.back()->abort(PumpEnd::Stopped);
}

} // namespace p2prc::tunnel
