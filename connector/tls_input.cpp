#include "connector/tls_input.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

namespace p2prc::connector {

BIO* TlsInput::make_bio() {
    static const std::unique_ptr<BIO_METHOD, net::OpenSslFree<BIO_meth_free>> method = [] {
        BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "TlsInput");
        if (!fresh) throw std::bad_alloc();
        BIO_meth_set_read(fresh, read_from);
        BIO_meth_set_ctrl(fresh, control);
        return std::unique_ptr<BIO_METHOD, net::OpenSslFree<BIO_meth_free>>(fresh);
    }();
    BIO* bio = BIO_new(method.get());
    if (!bio) throw std::bad_alloc();
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    return bio;
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
