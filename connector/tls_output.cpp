#include "connector/tls_output.h"

#include "net/openssl.h"

#include <sys/socket.h>

#include <cerrno>

namespace p2prc::connector {
namespace {

// More than a record. Nothing is read from a client that asks for more answers and takes none.
constexpr std::size_t most_waiting = 32 * 1024;

long control(BIO*, int command, long, void*) noexcept {
    return command == BIO_CTRL_FLUSH ? 1 : 0; // TlsOutput::flush() writes what is waiting
}

} // namespace

BIO* TlsOutput::make_bio() {
    static const BIO_METHOD* const method =
        net::make_bio_method({.name = "TlsOutput", .write = write_to, .control = control});
    return net::new_bio(method, this);
}

bool TlsOutput::flush() {
    if (waiting_.empty()) return true;
    const ssize_t sent = send(waiting_.data(), waiting_.size());
    if (sent < 0) return false;
    waiting_.erase(0, static_cast<std::size_t>(sent));
    if (waiting_.empty()) std::string().swap(waiting_); // assigning would keep the memory
    return true;
}

int TlsOutput::write_to(BIO* bio, const char* data, int size) noexcept {
    auto& self = *static_cast<TlsOutput*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (self.waiting_.size() >= most_waiting) {
        BIO_set_retry_write(bio);
        return -1;
    }
    const auto whole = static_cast<std::size_t>(size);
    const ssize_t sent = self.waiting_.empty() ? self.send(data, whole) : 0;
    if (sent < 0) return -1;
    self.waiting_.append(data + sent, whole - static_cast<std::size_t>(sent));
    return size;
}

ssize_t TlsOutput::send(const char* data, std::size_t size) {
    std::size_t done = 0;
    while (writable_ && done < size) {
        const ssize_t sent = ::send(socket_, data + done, size - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            done += static_cast<std::size_t>(sent);
        else if (errno == EAGAIN)
            writable_ = false;
        else if (errno != EINTR)
            return -1;
    }
    return static_cast<ssize_t>(done);
}

} // namespace p2prc::connector
