#include "connector/tls_input.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace p2prc::connector {

BIO* TlsInput::make_bio() {
    static const BIO_METHOD* const method =
        net::make_bio_method({.name = "TlsInput", .read = read_from, .control = control});
    return net::new_bio(method, this);
}

int TlsInput::read_from(BIO* bio, char* data, int size) noexcept {
    auto& self = *static_cast<TlsInput*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (self.idle_.too_many()) return -1;
    if (const std::size_t left = self.received_.size() - self.used_; left > 0) {
        const std::size_t count = std::min(left, static_cast<std::size_t>(size));
        std::copy_n(self.received_.data() + self.used_, count, data);
        self.used_ += count;
        if (count == left) {
            std::string().swap(self.received_); // assigning would keep the memory
            self.used_ = 0;
        }
        return static_cast<int>(count);
    }
    ssize_t count = -1;
    do
        count = ::recv(self.socket_, data, static_cast<std::size_t>(size), MSG_DONTWAIT);
    while (count < 0 && errno == EINTR);
    if (count < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
    self.ended_ = count == 0;
    return static_cast<int>(count);
}

long TlsInput::control(BIO* bio, int command, long, void*) noexcept {
    return command == BIO_CTRL_EOF && static_cast<TlsInput*>(BIO_get_data(bio))->ended_ ? 1 : 0;
}

} // namespace p2prc::connector
