#include "connector/tls_pump.h"

#include "tunnel/socket_options.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace p2prc::connector {
namespace {

constexpr std::size_t turn_budget = 512 * 1024;
// What a record without data counts for: deriving new keys takes about as long as decrypting so many bytes.
constexpr std::size_t cost_without_data = 16 * 1024;

// One record's worth: what SSL_read returns at most, and SSL_write takes at once.
thread_local std::array<char, 16 * 1024> shared_buffer;

} // namespace

TlsPump::TlsPump(tunnel::Poller& poller, SSL_CTX* context, net::UniqueFd tunnel, net::UniqueFd application,
                 std::string received, Over over, Resetting resetting)
    : poller_(poller)
    , tunnel_(std::move(tunnel))
    , application_(std::move(application))
    , input_(tunnel_.get(), std::move(received))
    , output_(tunnel_.get())
    , ssl_(SSL_new(context))
    , over_(std::move(over))
    , on_resetting_(std::move(resetting)) {
    if (!ssl_) return;
    SSL_set_accept_state(ssl_.get());
    SSL_set0_wbio(ssl_.get(), output_.make_bio());
    SSL_set0_rbio(ssl_.get(), input_.make_bio());
}

void TlsPump::on_ready(unsigned which, std::uint32_t events) {
    if (done_) return;
    const bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (resetting_) {
        if (which == tunnel_side && (events & (EPOLLHUP | EPOLLERR))) abort();
        return;
    }
    if (undecided_) {
        // Nobody waits for another application any more.
        if (which == tunnel_side && ended) keep_application();
        return;
    }
    if (which == tunnel_side) {
        client_readable_ |= (events & EPOLLIN) != 0 || ended;
        if ((events & EPOLLOUT) != 0 || ended) output_.set_writable();
    } else {
        application_readable_ |= (events & EPOLLIN) != 0 || ended;
        application_writable_ |= (events & EPOLLOUT) != 0 || ended;
    }
    step();
}

void TlsPump::step() {
    if (done_ || resetting_) return;
    if (!ssl_) return finish();
    budget_ = turn_budget;
    if (!secured_ && !handshake()) return;
    // Whichever direction moves may make room for the other.
    while (budget_ > 0) {
        const std::size_t before = budget_;
        // An application that has ended already must not be given anything.
        if (untouched_ && (!application_to_client() || done_ || resetting_)) return;
        if (!client_to_application() || done_) return;
        if (!application_to_client() || done_ || resetting_) return;
        if (budget_ == before) break;
        active_ = std::chrono::steady_clock::now();
    }
    if (application_shut_ && close_notified_) return finish();
    if (budget_ == 0) poller_.again(*this);
}

bool TlsPump::flush() {
    const std::size_t waiting = output_.waiting();
    if (!output_.flush()) return false;
    spend(waiting - output_.waiting());
    return true;
}

bool TlsPump::handshake() {
    if (!flush()) {
        finish();
        return false;
    }
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
        secured_ = true;
        input_.secured(ssl_.get());
        active_ = std::chrono::steady_clock::now();
        return true;
    }
    // When it failed, the alert that says why has been sent; the application has received nothing.
    if (!wait_for(result)) finish();
    return false;
}

bool TlsPump::wait_for(int result) {
    switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
        client_readable_ = false;
        return true;
    case SSL_ERROR_WANT_WRITE: // much is waiting: flush() comes first
        return true;
    default:
        return false;
    }
}

bool TlsPump::client_to_application() {
    if (application_broken_ || undecided_) return true;
    if (!to_application_.empty()) {
        std::string pending = std::exchange(to_application_, {});
        if (!write_to_application(pending.data(), pending.size())) return false;
    }
    while (budget_ > 0 && to_application_.empty() && !client_ended_ && !application_broken_ && !undecided_ &&
           (client_readable_ || SSL_pending(ssl_.get()))) {
        ERR_clear_error();
        const int size = SSL_read(ssl_.get(), shared_buffer.data(), static_cast<int>(shared_buffer.size()));
        if (size > 0) {
            spend(static_cast<std::size_t>(size) + input_.data_came() * cost_without_data);
            if (!write_to_application(shared_buffer.data(), static_cast<std::size_t>(size))) return false;
            continue;
        }
        if (SSL_get_error(ssl_.get(), size) == SSL_ERROR_ZERO_RETURN) {
            client_ended_ = true;
            break;
        }
        if (!wait_for(size)) {
            abort();
            return false;
        }
        break;
    }
    if (client_ended_ && !application_shut_ && to_application_.empty() && !undecided_) {
        ::shutdown(application_.get(), SHUT_WR);
        application_shut_ = true;
        active_ = std::chrono::steady_clock::now();
    }
    return true;
}

bool TlsPump::write_to_application(const char* data, std::size_t size) {
    while (size > 0) {
        const ssize_t sent = ::send(application_.get(), data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            untouched_ = false;
            traffic_.received(static_cast<std::size_t>(sent));
            data += sent;
            size -= static_cast<std::size_t>(sent);
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) {
            if (goes_on_without_it()) {
                to_application_.assign(data, size);
                return true;
            }
            // It may have sent the reason before it closed: relay that first.
            application_broken_ = application_readable_ = true;
            application_ended_ = false;
            return true;
        }
        application_writable_ = false;
        to_application_.assign(data, size);
        return true;
    }
    return true;
}

bool TlsPump::application_to_client() {
    if (!flush()) {
        abort();
        return false;
    }
    if (!to_client_.empty() && output_.waiting() == 0) {
        std::string pending = std::exchange(to_client_, {});
        if (!write_to_client(pending.data(), pending.size())) return false;
    }
    while (budget_ > 0 && may_write() && !application_ended_ && application_readable_) {
        const ssize_t size =
            ::recv(application_.get(), shared_buffer.data(), shared_buffer.size(), MSG_DONTWAIT);
        if (size > 0) {
            untouched_ = false;
            traffic_.sent(static_cast<std::size_t>(size));
            spend(static_cast<std::size_t>(size));
            if (!write_to_client(shared_buffer.data(), static_cast<std::size_t>(size))) return false;
        } else if (size == 0 && !application_broken_) {
            if (goes_on_without_it()) break;
            application_ended_ = true;
        } else if (size < 0 && errno == EAGAIN) {
            application_readable_ = false;
        } else if (size == 0 || errno != EINTR) {
            if (goes_on_without_it()) {
                application_reset_ = true;
                break;
            }
            reset_client();
            return true;
        }
    }
    if (application_ended_ && !ending_ && may_write()) end_towards_client();
    if (ending_ && !close_notified_ && output_.waiting() == 0) {
        ::shutdown(tunnel_.get(), SHUT_WR);
        close_notified_ = true;
        active_ = std::chrono::steady_clock::now();
    }
    return true;
}

bool TlsPump::goes_on_without_it() {
    if (!untouched_ || client_ended_ || application_broken_ || !left_ || !left_(*this)) return false;
    application_readable_ = application_writable_ = false;
    undecided_ = true;
    return true;
}

void TlsPump::replace_application(net::UniqueFd application) {
    if (done_ || !undecided_) return;
    application_ = std::move(application);
    go_on();
}

void TlsPump::keep_application() {
    if (done_ || !undecided_) return;
    left_ = {};
    if (!application_reset_) return go_on();
    undecided_ = false;
    reset_client();
}

void TlsPump::go_on() {
    undecided_ = application_reset_ = false;
    application_readable_ = application_writable_ = client_readable_ = true;
    output_.set_writable();
    active_ = std::chrono::steady_clock::now();
    step();
}

bool TlsPump::write_to_client(const char* data, std::size_t size) {
    // One record at a time, and each only when the socket has taken the one before.
    while (size > 0 && output_.waiting() == 0) {
        ERR_clear_error();
        const int sent = SSL_write(ssl_.get(), data, static_cast<int>(size));
        if (sent > 0) {
            data += sent;
            size -= static_cast<std::size_t>(sent);
            continue;
        }
        const int error = SSL_get_error(ssl_.get(), sent);
        // A message of the client's that OpenSSL waits for the rest of, such as a KeyUpdate in two records
        // (RFC 8446 section 5.1 allows that). Nothing can be written before.
        if (error == SSL_ERROR_WANT_READ) break;
        abort();
        return false;
    }
    to_client_.assign(data, size);
    return true;
}

void TlsPump::end_towards_client() {
    // In the middle of a message of the client's (as above) OpenSSL ends nothing.
    if (SSL_in_init(ssl_.get()) != 0) return;
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    // Nothing follows close_notify (RFC 8446 section 6.1). OpenSSL answers a client's request for new keys
    // all the same, and takes the socket's refusal for the end of what the client says.
    SSL_set0_wbio(ssl_.get(), BIO_new(BIO_s_null()));
    ending_ = true;
}

void TlsPump::reset_client() {
    resetting_ = true;
    active_ = std::chrono::steady_clock::now();
    application_.reset();
    check();
    if (!done_) on_resetting_(*this);
}

void TlsPump::check() {
    if (done_ || !resetting_) return;
    const bool held = tunnel::output_queued(tunnel_.get(), close_notified_);
    if (!held || std::chrono::steady_clock::now() - active_ >= tunnel::reset_timeout) abort();
}

void TlsPump::abort() {
    if (done_) return;
    tunnel::set_reset_on_close(tunnel_.get());
    if (application_) tunnel::set_reset_on_close(application_.get());
    finish();
}

void TlsPump::finish() {
    if (std::exchange(done_, true)) return;
    // The destructor closes it, once no event can refer to this object any more.
    over_(*this);
}

} // namespace p2prc::connector
