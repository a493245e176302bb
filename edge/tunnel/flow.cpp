#include "edge/tunnel/flow.h"

#include "edge/tunnel/session.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>

namespace p2prc::edge {

void EdgeFlow::ask(std::shared_ptr<PendingFlow> pending, Bytes header) {
    pending_ = std::move(pending);
    header_ = session_->seals.seal_header(id_, header);
    state_ = State::Asked;
    // If this fails, the socket becomes readable, and the event reports the failure.
    write_request();
}

std::string EdgeFlow::unsent() const {
    const std::string& first = pending_->request.first_bytes;
    const std::size_t sent = written_ - std::min(written_, header_.size());
    return first.substr(std::min(sent, first.size()));
}

bool EdgeFlow::write_request() {
    const std::string& first = pending_->request.first_bytes;
    while (written_ < header_.size() + first.size()) {
        std::array<iovec, 2> parts{};
        const std::size_t of_header = std::min(written_, header_.size());
        const std::size_t of_first = written_ - of_header;
        parts[0] = {header_.data() + of_header, header_.size() - of_header};
        parts[1] = {const_cast<char*>(first.data()) + of_first, first.size() - of_first};
        msghdr message{};
        message.msg_iov = parts.data();
        message.msg_iovlen = parts.size();
        const ssize_t size = ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN;
        written_ += static_cast<std::size_t>(size);
    }
    return true;
}

bool EdgeFlow::read() {
    while (input_size_ < input_.size()) {
        const ssize_t size =
            ::recv(socket_.get(), input_.data() + input_size_, input_.size() - input_size_, MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return errno == EAGAIN;
        if (size == 0) return false;
        input_size_ = static_cast<std::uint8_t>(input_size_ + size);
    }
    return true;
}

void EdgeFlow::on_ready(unsigned, std::uint32_t events) {
    switch (state_) {
    case State::Ready:
        // The connector must not send anything now: anything readable is the end of the connection or a
        // protocol violation.
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) keeper_.flow_lost(*this);
        return;
    case State::Asked:
        if ((events & EPOLLOUT) && !write_request()) return keeper_.flow_answered(*this, std::nullopt);
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) read_answer();
        return;
    case State::Done:
        return;
    }
}

void EdgeFlow::read_answer() {
    if (!read()) return keeper_.flow_answered(*this, std::nullopt);
    if (input_size_ < input_.size()) return;
    keeper_.flow_answered(*this, session_->seals.open_answer(id_, input_));
}

} // namespace p2prc::edge
