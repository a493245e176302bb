// The far end of a connection with TLS, in a fuzz target: says any bytes inside TLS or outside it, without
// waiting.
#pragma once

#include "core/encoding.h"
#include "net/fd.h"
#include "net/identity.h"
#include "net/openssl.h"
#include "tests/fuzz/require.h"

#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

namespace p2prc::fuzz {

// Of both ends.
inline const net::Identity& identity() {
    static const net::Identity made = *net::Identity::generate();
    return made;
}

inline std::pair<int, int> connected_sockets() {
    int ends[2];
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    return {ends[0], ends[1]};
}

class TlsPeer {
  public:
    TlsPeer(int socket, bool server) : socket_(socket), ssl_(SSL_new(context())) {
        SSL_set_fd(ssl_.get(), socket);
        server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
    }
    virtual ~TlsPeer() = default;

    // Whether something was done.
    bool shake_hands() {
        if (SSL_is_init_finished(ssl_.get())) return false;
        ERR_clear_error();
        return SSL_do_handshake(ssl_.get()) == 1;
    }
    void say(ByteView bytes) {
        if (closed_) return;
        unsent_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        said(bytes);
    }
    void say_outside(ByteView bytes) {
        if (closed_) return;
        outside_ = true;
        (void)!::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    void toggle_reading() { reading_ = !reading_; }
    void read_again() { reading_ = true; }
    void close() {
        closed_ = true;
        socket_.reset();
    }

    // Writes what waits and reads what came. Whether there was any.
    bool move() {
        if (closed_ || ended_) return false;
        const bool wrote = write();
        return (reading_ && read()) || wrote;
    }

    bool keeps_tls() const { return !closed_ && !outside_; }
    bool ended() const { return ended_; } // by the other end
    bool all_said() const { return unsent_.empty(); }

  protected:
    virtual void said(ByteView bytes) = 0;
    virtual void heard(ByteView bytes) = 0;

  private:
    static SSL_CTX* context() {
        static SSL_CTX* const made = [] {
            SSL_CTX* fresh = SSL_CTX_new(TLS_method());
            require(fresh && SSL_CTX_use_certificate(fresh, identity().certificate()) == 1 &&
                    SSL_CTX_use_PrivateKey(fresh, identity().key()) == 1 &&
                    SSL_CTX_set_alpn_protos(fresh, reinterpret_cast<const unsigned char*>("\4test"), 5) == 0);
            SSL_CTX_set_mode(fresh, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
            SSL_CTX_set_num_tickets(fresh, 0);
            return fresh;
        }();
        return made;
    }

    bool write() {
        if (unsent_.empty()) return false;
        ERR_clear_error();
        const int sent = SSL_write(ssl_.get(), unsent_.data(), static_cast<int>(unsent_.size()));
        if (sent > 0) unsent_.erase(0, static_cast<std::size_t>(sent));
        if (sent <= 0) note_end(sent);
        return sent > 0;
    }

    bool read() {
        std::uint8_t buffer[4096];
        ERR_clear_error();
        const int size = SSL_read(ssl_.get(), buffer, sizeof buffer);
        if (size <= 0) {
            note_end(size);
            return false;
        }
        heard(ByteView(buffer, static_cast<std::size_t>(size)));
        return true;
    }

    void note_end(int result) {
        const int error = SSL_get_error(ssl_.get(), result);
        ended_ = ended_ || (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE);
    }

    net::UniqueFd socket_;
    std::unique_ptr<SSL, net::OpenSslFree<SSL_free>> ssl_;
    std::string unsent_;
    bool reading_ = true;
    bool outside_ = false; // said something outside TLS
    bool closed_ = false;
    bool ended_ = false;
};

} // namespace p2prc::fuzz
