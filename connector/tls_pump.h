// One connection whose TLS is terminated here: OpenSSL on the tunnel's socket, plain bytes on the
// application's.
#pragma once

#include "connector/tls_input.h"
#include "connector/tls_output.h"
#include "net/fd.h"
#include "net/openssl.h"
#include "tunnel/poller.h"
#include "tunnel/socket_state.h"
#include "tunnel/traffic.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>

namespace p2prc::connector {

class TlsPump final : public tunnel::PollHandler {
  public:
    using Time = std::chrono::steady_clock::time_point;
    // Called once, when there is nothing more to do. Then retire the pump.
    using Over = std::function<void(TlsPump&)>;
    // Called once, when only a reset for the client is left: call check() soon and repeatedly.
    using Resetting = std::function<void(TlsPump&)>;

    // The application has closed or reset its connection before it had a byte of the client's or sent one, so
    // another connection to it would serve the client as well. True: replace_application() or
    // keep_application() follows, and nothing moves until then.
    using Left = std::function<bool(TlsPump&)>;

    static constexpr unsigned tunnel_side = 0;
    static constexpr unsigned application_side = 1;

    // `received` are the client's first bytes, already read from `tunnel`.
    TlsPump(tunnel::Poller& poller, SSL_CTX* context, net::UniqueFd tunnel, net::UniqueFd application,
            std::string received, Over over, Resetting resetting);

    void set_left(Left left) { left_ = std::move(left); }
    void set_traffic(tunnel::TrafficShare traffic) { traffic_ = std::move(traffic); }
    // Call this once both sockets are registered.
    void begin() { step(); }
    // `application` is registered.
    void replace_application(net::UniqueFd application);
    // It did so of its own accord: the client is told, and a half-close may have been meant.
    void keep_application();
    Time active() const noexcept { return active_; }
    bool secured() const noexcept { return secured_; }
    // Waits for replace_application() or keep_application().
    bool undecided() const noexcept { return undecided_; }
    bool half_closed() const noexcept { return client_ended_ || application_ended_ || application_broken_; }
    // Whether the edge has not acknowledged anything for so long, though it was asked to.
    bool silent(std::chrono::milliseconds timeout) const noexcept {
        return tunnel::far_end_is_silent(tunnel_.get(), timeout);
    }
    // Ends it with a reset both ways.
    void abort();
    // Resets the client if it has all that was said before, or has had long enough to take it.
    void check();

    void on_ready(unsigned which, std::uint32_t events) override;
    void on_again() override { step(); }

  private:
    using SslPtr = std::unique_ptr<SSL, net::OpenSslFree<SSL_free>>;

    void step();
    bool handshake();
    bool client_to_application();
    bool application_to_client();
    bool write_to_application(const char* data, std::size_t size);
    // Whether it is left open what becomes of an application that has ended.
    bool goes_on_without_it();
    void go_on();
    bool write_to_client(const char* data, std::size_t size);
    // Writes what OpenSSL has written and the socket has not taken. False: the socket failed.
    bool flush();
    void spend(std::size_t bytes) noexcept { budget_ -= std::min(budget_, bytes); }
    bool may_write() const noexcept { return to_client_.empty() && output_.waiting() == 0; }
    void end_towards_client();
    // The application is gone and everything it sent has been written: reset the client once that has
    // arrived.
    void reset_client();
    // What a failed SSL_read, SSL_write or SSL_do_handshake means. False: the connection is over.
    bool wait_for(int result);
    void finish();

    tunnel::Poller& poller_;
    net::UniqueFd tunnel_;
    net::UniqueFd application_;
    TlsInput input_;   // what `ssl_` reads from
    TlsOutput output_; // what it writes to
    SslPtr ssl_;
    Over over_;
    Resetting on_resetting_;
    Left left_;
    tunnel::TrafficShare traffic_; // of plain bytes
    Time active_ = std::chrono::steady_clock::now();
    std::string to_application_; // decrypted, not yet taken; empty nearly always
    std::string to_client_;      // not yet encrypted; empty nearly always
    std::size_t budget_ = 0;     // bytes that may still be moved in this iteration
    bool secured_ = false;
    bool untouched_ = true;          // no byte has passed to or from the application
    bool undecided_ = false;         // it has ended, and may be replaced
    bool application_reset_ = false; // that end was a reset
    bool client_readable_ = true;
    bool application_readable_ = true;
    bool application_writable_ = true;
    bool client_ended_ = false;       // close_notify came
    bool application_shut_ = false;   // and was passed on as a FIN
    bool application_ended_ = false;  // its FIN came
    bool application_broken_ = false; // writing to it failed: its end is a reset, whatever read says
    bool resetting_ = false;
    bool ending_ = false;         // and was passed on as close_notify
    bool close_notified_ = false; // that has been sent, and a FIN
    bool done_ = false;
};

} // namespace p2prc::connector
