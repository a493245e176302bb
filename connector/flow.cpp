#include "connector/flow.h"

#include "connector/local_dial.h"
#include "net/sockaddr.h"
#include "tunnel/socket_options.h"
#include "tunnel/wire.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace p2prc::connector {

using tunnel::Answer;

namespace {

constexpr int most_drained = 64; // reads of 4 KiB
// Whether the far end has sent its FIN or a reset.
bool has_ended(int socket) {
    pollfd watched{socket, POLLRDHUP, 0};
    return ::poll(&watched, 1, 0) > 0;
}

} // namespace

void HomeFlow::on_ready(unsigned which, std::uint32_t events) {
    const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    switch (state_) {
    case State::Connecting:
        if (events & (EPOLLHUP | EPOLLERR))
            keeper_.flow_over(*this);
        else if (events & EPOLLOUT)
            connected();
        return;
    case State::Ready:
        if ((events & EPOLLIN) || ended) read_header();
        return;
    case State::Dialing:
        // What the client sends meanwhile waits in the socket; only a reset is worth noticing here.
        if (which == 1) return dialled();
        if (events & (EPOLLHUP | EPOLLERR)) keeper_.flow_over(*this);
        return;
    case State::Held:
        // The edge sends a FIN only when its client has left, or it has an answer from elsewhere.
        if (which == 0 && ended) keeper_.flow_over(*this);
        return;
    case State::Spoken:
        if (which == 0) {
            if (events & (EPOLLHUP | EPOLLERR)) keeper_.flow_over(*this);
        } else if ((events & EPOLLIN) || ended) {
            // The reply follows in this iteration of the loop: the kernel may put both into one packet.
            accept(events & (EPOLLHUP | EPOLLERR) ? 0 : MSG_MORE);
        }
        return;
    case State::Accepted:
    case State::Done:
        return;
    }
}

void HomeFlow::connected() {
    const auto preface = keeper_.seals().seal_preface(id_);
    // The empty buffer of a new socket has room for all 40 bytes.
    if (::send(tunnel_.get(), preface.data(), preface.size(), MSG_NOSIGNAL | MSG_DONTWAIT) !=
        static_cast<ssize_t>(preface.size()))
        return keeper_.flow_over(*this);
    state_ = State::Ready;
    since_ = std::chrono::steady_clock::now();
    keeper_.flow_connected(*this);
}

void HomeFlow::read_header() {
    // The header and the client's first bytes arrive together: one read gets both, into a buffer that all
    // idle connections share.
    static thread_local std::array<char, 20 * 1024> buffer;
    const ssize_t size = ::recv(tunnel_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return keeper_.flow_over(*this);
    received_.append(buffer.data(), static_cast<std::size_t>(size));
    if (received_.size() < 2) return;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(received_.data());
    const std::size_t length = tunnel::get_at<std::uint16_t>(bytes);
    if (length > tunnel::max_flow_header + tunnel::seal_overhead) return keeper_.flow_over(*this);
    if (received_.size() < 2 + length) return;
    const auto opened = keeper_.seals().open_header(id_, ByteView(bytes + 2, length));
    received_.erase(0, 2 + length);
    // This is not from the edge of this session, so there is nobody to answer.
    if (!opened) return keeper_.flow_over(*this);
    keeper_.flow_taken(*this);
    const Result<tunnel::FlowHeader> header = tunnel::parse_flow_header(*opened);
    if (!header) return refuse(Answer::BadHeader);
    if (header->sealed) return refuse(Answer::NotSupported);
    client_ = header->client;
    resolved_ = keeper_.resolve(header->mapping_id);
    if (resolved_.answer != Answer::Accepted) return refuse(resolved_.answer);
    dial();
}

void HomeFlow::refuse(Answer answer) {
    const auto sealed = keeper_.seals().seal_answer(id_, answer);
    ::send(tunnel_.get(), sealed.data(), sealed.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    // Closing with unread bytes would send a reset, and the edge might discard the answer. So read a bounded
    // amount first; an edge that keeps sending gets the reset.
    ::shutdown(tunnel_.get(), SHUT_WR);
    std::array<char, 4096> rest;
    for (int rounds = 0; rounds < most_drained; ++rounds)
        if (::recv(tunnel_.get(), rest.data(), rest.size(), MSG_DONTWAIT) <= 0) break;
    keeper_.flow_over(*this);
}

void HomeFlow::turn_away(Answer answer) {
    if (resolved_.target) keeper_.flow_answered(resolved_.mapping, answer);
    application_.reset();
    application_polled_ = false;
    std::array<int, 2> ends{};
    if (!resolved_.tls ||
        ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0)
        return refuse(answer);
    application_.reset(ends[0]);
    page_.reset(ends[1]);
    trouble_ = answer == Answer::DialRefused ? resolved_.trouble : Trouble::NoAnswer;
    accept();
}

void HomeFlow::dial() {
    state_ = State::Dialing;
    since_ = std::chrono::steady_clock::now();
    if (!resolved_.target) return nobody_answers();
    sockaddr_storage address{};
    const socklen_t size = net::to_sockaddr(*resolved_.target, address);
    application_.reset(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!application_) return turn_away(Answer::Overloaded);
    tunnel::set_local_options(application_.get());
    const auto* name = reinterpret_cast<const sockaddr*>(&address);
    // The client's first bytes are sent at once, unless they are for the TLS terminated here. The listener is
    // checked before: that needs the handshake's last packet to be on its way.
    const bool speaks = !resolved_.tls && !received_.empty();
    if (speaks && resolved_.groups.empty()) tunnel::set_acknowledge_with_data(application_.get());
    int done = ::connect(application_.get(), name, size);
    // Over loopback, the handshake is complete when the call returns; sending or asking again shows it.
    if (done != 0 && errno == EINPROGRESS) {
        if (speaks && resolved_.groups.empty()) return speak();
        done = ::connect(application_.get(), name, size);
    }
    if (done == 0) return dialled();
    if (errno == ECONNREFUSED) return nobody_answers();
    if (errno != EALREADY && errno != EINPROGRESS) return turn_away(Answer::Overloaded);
    watch_application();
}

// The application has taken nothing of the client's: the same bytes may go to a later connection.
void HomeFlow::nobody_answers() {
    application_.reset();
    application_polled_ = false;
    if (wait_) {
        // That was the last attempt.
        if (since_ - wait_->redial.since >= resolved_.hold) return turn_away(Answer::DialRefused);
        wait_->redial.failed(since_);
        state_ = State::Held;
        return;
    }
    if (resolved_.hold.count() == 0) return turn_away(Answer::DialRefused);
    // Events are edge-triggered: the end may have been one of those that brought the header.
    if (has_ended(tunnel_.get())) return keeper_.flow_over(*this);
    wait_ = Wait{{since_}};
    state_ = State::Held;
    if (!keeper_.flow_held(*this)) turn_away(Answer::DialRefused);
}

void HomeFlow::end_wait() {
    turn_away(Answer::DialRefused);
}

void HomeFlow::look_again(Time now, bool news) {
    if (state_ != State::Held) return;
    const std::uint32_t mapping = resolved_.mapping;
    resolved_ = keeper_.resolve(mapping);
    resolved_.mapping = mapping; // also where there is none any more
    if (resolved_.answer != Answer::Accepted) return refuse(resolved_.answer);
    // The edge takes the first answer that it gets: the later flow connection has it.
    if (wait_->superseded) return;
    // A process that runs by now is held for less than one that was coming, so the news that ends the wait
    // may be that it answers.
    const bool over = now - wait_->redial.since >= resolved_.hold;
    if (resolved_.target && (news || over || now >= wait_->redial.again)) return dial();
    if (over) turn_away(Answer::DialRefused);
}

bool HomeFlow::watch_application() {
    if (std::exchange(application_polled_, true)) return true;
    if (poller_.add(application_.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP, *this, 1)) return true;
    turn_away(Answer::Overloaded);
    return false;
}

// The client's first bytes to an application that may not be connected yet.
void HomeFlow::speak() {
    const ssize_t sent =
        ::send(application_.get(), received_.data(), received_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
        if (errno == EAGAIN) {
            watch_application();
            return;
        }
        if (errno == ECONNREFUSED) return nobody_answers();
        return turn_away(errno == ECONNRESET ? Answer::DialRefused : Answer::Overloaded);
    }
    received_.erase(0, static_cast<std::size_t>(sent));
    if (!received_.empty()) return accept();
    // The reply probably comes at once; then the answer can travel with it.
    state_ = State::Spoken;
    if (watch_application()) keeper_.flow_spoken(*this);
}

void HomeFlow::dialled() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(application_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == ECONNREFUSED) return nobody_answers();
    if (error != 0) return turn_away(Answer::DialTimeout);
    if (!is_its_own(application_.get(), resolved_.groups)) {
        // Whoever it is has not received anything, and never will. It may be the next run of the application,
        // before p2prcd has said so.
        tunnel::set_reset_on_close(application_.get());
        return nobody_answers();
    }
    if (!resolved_.tls && !received_.empty()) return speak();
    accept();
}

void HomeFlow::accept(int send_flags) {
    const auto answer = keeper_.seals().seal_answer(id_, Answer::Accepted);
    if (::send(tunnel_.get(), answer.data(), answer.size(), MSG_NOSIGNAL | MSG_DONTWAIT | send_flags) !=
        static_cast<ssize_t>(answer.size()))
        return keeper_.flow_over(*this);
    state_ = State::Accepted;
    if (!page_) keeper_.flow_answered(resolved_.mapping, Answer::Accepted);
    keeper_.flow_accepted(*this);
}

} // namespace p2prc::connector
