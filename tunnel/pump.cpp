#include "tunnel/pump.h"

#include "tunnel/socket_state.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace p2prc::tunnel {
namespace {

// Bytes that one connection may move before the others get a chance.
constexpr int rounds_a_turn = 16;

constexpr std::uint32_t all_events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;

} // namespace

Pump::Pump(PumpSet& shared, PumpSockets sockets, Pumps::Done done)
    : shared_(shared)
    , done_(std::move(done))
    , group_(sockets.group)
    , traffic_(std::move(sockets.traffic)) {
    sides_[0].fd = std::move(sockets.a);
    sides_[1].fd = std::move(sockets.b);
    set_head(0, std::move(sockets.to_b));
    set_head(1, std::move(sockets.to_a));
    active_ = shared_.now;
}

bool Pump::watch(bool a_polled, bool b_polled) {
    for (unsigned side = 0; side < 2; ++side) {
        const bool polled = side == 0 ? a_polled : b_polled;
        const int fd = sides_[side].fd.get();
        if (!(polled ? shared_.poller.change(fd, all_events, *this, side)
                     : shared_.poller.add(fd, all_events, *this, side)))
            return false;
    }
    return true;
}

void Pump::on_ready(unsigned side, std::uint32_t events) {
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

void Pump::on_again() {
    if (closed_ || resetting_) return;
    move(0);
    if (!closed_ && !resetting_) move(1);
}

void Pump::check() {
    if (resetting_) {
        if (!output_queued(sides_[victim_].fd.get(), fin_sent_) || shared_.now - active_ >= reset_timeout)
            finish(PumpEnd::Reset);
        return;
    }
    const auto quiet = shared_.now - active_;
    const auto silent = [&](const Side& side) {
        return far_end_is_silent(side.fd.get(), shared_.options.silence);
    };
    if (shared_.look && quiet >= shared_.options.silence && (silent(sides_[0]) || silent(sides_[1])))
        abort(PumpEnd::Silence);
    // A client that pauses near the end of a download still has its last bytes to get.
    else if ((ways_[0].done || ways_[1].done) && quiet >= shared_.options.half_closed && !unread())
        finish(PumpEnd::HalfClosedTimeout);
    else if (quiet >= shared_.options.idle)
        finish(PumpEnd::IdleTimeout);
}

bool Pump::unread() const noexcept {
    return output_queued(sides_[0].fd.get(), ways_[1].done) ||
           output_queued(sides_[1].fd.get(), ways_[0].done);
}

void Pump::finish(PumpEnd end) {
    const PumpResult result{end, ways_[0].total, ways_[1].total};
    close();
    auto self = shared_.remove(*this);
    auto done = std::move(done_);
    shared_.poller.retire(std::move(self));
    if (done) done(result);
}

void Pump::close() {
    closed_ = true;
    for (auto& way : ways_)
        drop(way);
    for (auto& side : sides_)
        side.fd.reset();
}

void Pump::abort(PumpEnd end) {
    for (auto& side : sides_)
        make_abortive(side);
    finish(end);
}

void Pump::set_head(unsigned direction, std::string head) {
    if (!head.empty()) ways_[direction].pending = std::make_unique<Pending>(Pending{std::move(head)});
}

void Pump::make_abortive(Side& side) {
    if (!side.fd) return;
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(side.fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

void Pump::drop(Way& way) {
    way.pending.reset();
    if (way.pipe) shared_.pool.give_back(std::move(way.pipe), way.in_pipe == 0);
    way.in_pipe = 0;
}

void Pump::moved(Way& way, std::size_t bytes) {
    way.total += bytes;
    shared_.bytes += bytes;
    if (&way == ways_.data())
        traffic_.received(bytes);
    else
        traffic_.sent(bytes);
    active_ = shared_.now;
}

void Pump::move(unsigned direction) {
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

void Pump::rest(Way& way) {
    if (way.pipe) shared_.pool.give_back(std::move(way.pipe), true);
    if (way.burst < scratch_bytes) way.bulk = false;
    way.burst = 0;
}

int Pump::send_flags(const Side& source) noexcept {
    return MSG_NOSIGNAL | (source.ending ? MSG_MORE : 0);
}

bool Pump::flush(unsigned direction) {
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

void Pump::fill_pipe(unsigned direction) {
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

void Pump::copy(unsigned direction) {
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
        const ssize_t now = send(sides_[1 - direction].fd.get(), scratch.data(), size, send_flags(source));
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

void Pump::source_stopped(unsigned direction, ssize_t got) {
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

void Pump::end_way(unsigned direction) {
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

void Pump::sink_failed(unsigned direction) {
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

void Pump::reset(unsigned side) {
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

} // namespace p2prc::tunnel
