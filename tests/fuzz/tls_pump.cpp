// A connection whose TLS ends at home, between a client of OpenSSL and an application: written and read in
// pieces of any size, half-closed, closed, torn, with new keys on the way, with bytes that are no TLS, and
// with records under the right key that no OpenSSL would send. What arrives is what was said, in order; where
// nobody broke a rule all of it arrives, and each end as what it was; and nothing is left.
//
// An input is two bytes of settings, then operations of two bytes each: what, and how much.
#include "connector/tls_pump.h"

#include "connector/tls_contexts.h"
#include "net/identity.h"
#include "tests/fuzz/require.h"
#include "tests/unit/connector/forged_records.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <openssl/pem.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace {

using namespace p2prc;
using connector::TlsPump;
using fuzz::require;

// What a side says, by position: what is lost, doubled or moved shows.
char said(unsigned side, std::size_t at) {
    return static_cast<char>(at * 167U + (at >> 8U) * 13U + side * 101U);
}

std::string next_said(unsigned side, std::size_t& at, std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text)
        c = said(side, at++);
    return text;
}

void check_said(unsigned side, std::size_t& at, const char* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i)
        require(data[i] == said(side, at++));
}

constexpr unsigned clients = 0;
constexpr unsigned applications = 1;
constexpr std::size_t most_said = 512 * 1024;

SSL_CTX* server_context() {
    static const auto made = [] {
        const auto identity = *net::Identity::generate();
        const net::BioPtr bio(BIO_new(BIO_s_mem()));
        require(PEM_write_bio_X509(bio.get(), identity.certificate()) == 1);
        return *connector::make_tls_context("app.home.example", net::bio_text(bio.get()),
                                            *identity.private_key_pem());
    }();
    return made.get();
}

SSL_CTX* client_context() {
    static SSL_CTX* const made = [] {
        SSL_CTX* fresh = SSL_CTX_new(TLS_client_method());
        require(fresh && SSL_CTX_set_ciphersuites(fresh, "TLS_AES_128_GCM_SHA256") == 1);
        forged::follow_keys(fresh);
        return fresh;
    }();
    return made;
}

// What a socket's end looks like from the other side.
enum class End { None, Finished, Reset };

struct Application {
    // A byte or more; whether any came.
    bool read(std::size_t most) {
        std::array<char, 16384> buffer;
        bool any = false;
        while (socket && end == End::None && most > 0) {
            const auto size =
                ::recv(socket.get(), buffer.data(), std::min(most, buffer.size()), MSG_DONTWAIT);
            if (size < 0 && errno == EAGAIN) break;
            if (size <= 0) {
                end = size == 0 ? End::Finished : End::Reset;
                break;
            }
            check_said(clients, heard, buffer.data(), static_cast<std::size_t>(size));
            most -= static_cast<std::size_t>(size);
            any = true;
        }
        return any;
    }
    // As much as there is room for.
    void say(std::size_t size) {
        if (!socket || finished || told + size > most_said) return;
        std::size_t at = told;
        const auto text = next_said(applications, at, size);
        const auto sent = ::send(socket.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) told += static_cast<std::size_t>(sent);
    }
    void finish() {
        finished = true;
        if (socket) ::shutdown(socket.get(), SHUT_WR);
    }
    void close() {
        closed = true;
        socket.reset();
    }

    net::UniqueFd socket;
    std::size_t told = 0;
    std::size_t heard = 0;
    End end = End::None;
    bool finished = false;
    bool closed = false;
};

class Client {
  public:
    Client(net::UniqueFd end, bool tls12) : socket_(std::move(end)), ssl_(SSL_new(client_context())) {
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_connect_state(ssl_.get());
        if (tls12) SSL_set_max_proto_version(ssl_.get(), TLS1_2_VERSION);
        forger_.watch(ssl_.get());
        shake_hands();
    }

    bool shaken() const { return SSL_is_init_finished(ssl_.get()) == 1; }
    bool keeps_rules() const { return !broken_; }
    std::size_t told() const { return told_; }
    std::size_t heard() const { return heard_; }
    bool finished() const { return notified_; }
    bool heard_the_end() const { return heard_end_; }
    End end() const { return end_; }

    // What the pump is handed as read already.
    std::string first_bytes(std::size_t most) {
        encrypt();
        auto taken = outgoing_.substr(0, most);
        outgoing_.erase(0, taken.size());
        return taken;
    }
    void say(std::size_t size) {
        if (!shaken() || notified_ || failed_ || half_ || told_ + size > most_said) return;
        std::size_t at = told_;
        const auto text = next_said(clients, at, size);
        if (forger_.active()) {
            outgoing_ += forger_.record(SSL3_RT_APPLICATION_DATA, text.substr(0, 16384));
            told_ += std::min<std::size_t>(size, 16384);
            without_data_ = 0;
        } else {
            ERR_clear_error();
            const int sent = SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
            if (sent > 0) told_ += static_cast<std::size_t>(sent);
            if (sent > 0) without_data_ = 0;
        }
    }
    void say_end() {
        if (!shaken() || half_ || std::exchange(notified_, true)) return;
        ERR_clear_error();
        if (forger_.active())
            outgoing_ += forger_.record(SSL3_RT_ALERT, std::string("\1\0", 2));
        else
            SSL_shutdown(ssl_.get());
    }
    void new_keys(bool for_both) {
        if (!shaken() || notified_ || forger_.active()) return;
        ERR_clear_error();
        // None in TLS 1.2, where this does nothing.
        if (SSL_key_update(ssl_.get(), for_both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) ==
            1) {
            SSL_do_handshake(ssl_.get());
            rekeyed_ = true;
            count_without_data();
        }
    }
    void renegotiate() {
        if (!shaken() || forger_.active()) return;
        ERR_clear_error();
        if (SSL_renegotiate(ssl_.get()) != 1) return;
        broken_ = true; // it is refused, and OpenSSL's client gives up
        SSL_do_handshake(ssl_.get());
    }
    // A record under the client's key; only one that keeps the rules leaves them kept.
    void forge(std::uint8_t type, const std::string& content, bool allowed) {
        if (!shaken() || rekeyed_ || notified_ || !forger_.ready()) return;
        encrypt();
        forger_.count(sent_records());
        outgoing_ += forger_.record(type, content);
        count_without_data();
        broken_ |= !allowed || half_; // nothing comes between the parts of a message
    }
    // A request for new keys in two records (RFC 8446 section 5.1 allows that), the second one later.
    void half_a_key_update() {
        if (!shaken() || rekeyed_ || notified_ || half_ || !forger_.ready()) return;
        forge(SSL3_RT_HANDSHAKE, std::string("\x18\0\0\1", 4), true);
        half_ = true;
    }
    void other_half() {
        if (!half_ || notified_) return;
        outgoing_ += forger_.record(SSL3_RT_HANDSHAKE, std::string(1, '\0'));
        count_without_data();
        forger_.next_keys();
        half_ = false;
    }
    // The pump may cut it off.
    void count_without_data() { broken_ |= ++without_data_ >= net::RecordsWithoutData::most; }
    void raw(const std::string& bytes) {
        broken_ = true;
        outgoing_ += bytes;
    }
    void flip(std::size_t at) {
        encrypt();
        if (outgoing_.empty()) return;
        broken_ = true;
        outgoing_[at % outgoing_.size()] ^= 0x40;
    }
    // Ends its stream, with or without having said so.
    void finish() {
        encrypt();
        broken_ |= !notified_ || !outgoing_.empty();
        if (socket_) ::shutdown(socket_.get(), SHUT_WR);
    }
    void close() {
        broken_ = true;
        socket_.reset();
    }

    bool push(std::size_t most) {
        encrypt();
        if (!socket_ || outgoing_.empty()) return false;
        const auto sent = ::send(socket_.get(), outgoing_.data(), std::min(most, outgoing_.size()),
                                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) outgoing_.erase(0, static_cast<std::size_t>(sent));
        return sent > 0;
    }
    bool pull(std::size_t most) {
        std::array<char, 16384> buffer;
        if (!socket_ || end_ != End::None) return false;
        const auto size = ::recv(socket_.get(), buffer.data(), std::min(most, buffer.size()), MSG_DONTWAIT);
        if (size < 0 && errno == EAGAIN) return false;
        if (size <= 0) {
            end_ = size == 0 ? End::Finished : End::Reset;
            return false;
        }
        BIO_write(SSL_get_rbio(ssl_.get()), buffer.data(), static_cast<int>(size));
        decrypt();
        return true;
    }

  private:
    void shake_hands() {
        ERR_clear_error();
        note(SSL_do_handshake(ssl_.get()));
    }
    void decrypt() {
        if (!shaken()) shake_hands();
        if (!shaken()) return;
        std::array<char, 16384> buffer;
        while (!failed_) {
            ERR_clear_error();
            const int size = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()));
            if (size <= 0) {
                note(size);
                return;
            }
            require(!heard_end_);
            check_said(applications, heard_, buffer.data(), static_cast<std::size_t>(size));
        }
    }
    void note(int result) {
        if (result > 0) return;
        const int error = SSL_get_error(ssl_.get(), result);
        if (error == SSL_ERROR_ZERO_RETURN) heard_end_ = true;
        if (error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL) return;
        failed_ = true;
        require(broken_); // the pump did not keep the rules
    }
    // Takes over what OpenSSL has to send; once records are forged, nobody can read that any more.
    void encrypt() {
        BIO* bio = SSL_get_wbio(ssl_.get());
        std::string bytes(BIO_ctrl_pending(bio), '\0');
        if (bytes.empty()) return;
        BIO_read(bio, bytes.data(), static_cast<int>(bytes.size()));
        if (forger_.active()) return;
        outgoing_ += bytes;
        records_ += bytes;
    }
    // Records under the client's traffic key so far: those after its Finished, which is the last of the
    // handshake's.
    std::uint64_t sent_records() {
        while (records_.size() >= 5) {
            const std::size_t size =
                5 + static_cast<std::uint8_t>(records_[3]) * 256U + static_cast<std::uint8_t>(records_[4]);
            if (records_.size() < size) break;
            if (records_[0] == SSL3_RT_APPLICATION_DATA) ++protected_;
            records_.erase(0, size);
        }
        return protected_ - 1;
    }

    net::UniqueFd socket_;
    std::unique_ptr<SSL, net::OpenSslFree<SSL_free>> ssl_;
    forged::Records forger_;
    std::string outgoing_;
    std::string records_; // of what OpenSSL sent, not counted yet
    std::uint64_t protected_ = 0;
    std::size_t told_ = 0;
    std::size_t heard_ = 0;
    End end_ = End::None;
    bool notified_ = false;  // has said close_notify
    bool heard_end_ = false; // close_notify came
    bool rekeyed_ = false;
    bool half_ = false;
    bool failed_ = false;
    bool broken_ = false;
    unsigned without_data_ = 0; // records in a row
};

class Connection {
  public:
    Connection(std::uint8_t settings, std::uint8_t first) : Connection(settings, first, pair(), pair()) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void step(std::uint8_t what, std::uint8_t much) {
        const std::size_t size = much + 1U;
        switch (what % 20U) {
        case 0:
            client_.say(size);
            break;
        case 1:
            client_.say(size * 200);
            break;
        case 2:
            client_.push(size);
            break;
        case 3:
            client_.push(most_said);
            break;
        case 4:
            client_.pull(size * 16);
            break;
        case 5:
            client_.pull(most_said);
            break;
        case 6:
            application_.say(size);
            break;
        case 7:
            application_.say(size * 200);
            break;
        case 8:
            application_.read(size * 16);
            break;
        case 9:
            application_.read(most_said);
            break;
        case 10:
            client_.say_end();
            break;
        case 11:
            client_.finish();
            break;
        case 12:
            application_.finish();
            break;
        case 13:
            application_.close();
            break;
        case 14:
            client_.close();
            break;
        case 15:
            if (much % 4 == 3) client_.renegotiate();
            // The answers to many are more than may wait for a client that does not read.
            for (int i = 0; much % 4 != 3 && i < (much < 0xf0 ? 1 : 400); ++i)
                client_.new_keys(much % 2 == 1);
            break;
        case 16:
            client_.raw(std::string(much % 16 + 1U, static_cast<char>(much)));
            break;
        case 17:
            client_.flip(much);
            break;
        case 18:
            much % 2 == 0 ? client_.half_a_key_update() : client_.other_half();
            break;
        case 19:
            forge(much);
            break;
        }
        if (what < 200) turn();
    }

    void finish() {
        client_.other_half();
        settle();
        check_bytes();
        if (client_.keeps_rules() && !application_.closed) check_ends();
        // Whatever is still open ends now.
        client_.close();
        application_.close();
        turn();
        require(over_ && !pump_);
        for (const int fd : pump_sockets_)
            require(::fcntl(fd, F_GETFD) < 0);
    }

  private:
    using Ends = std::array<net::UniqueFd, 2>;

    Connection(std::uint8_t settings, std::uint8_t first, Ends tunnel, Ends application)
        : client_(std::move(tunnel[0]), (settings & 1U) != 0) {
        application_.socket = std::move(application[0]);
        pump_sockets_ = {tunnel[1].get(), application[1].get()};
        if ((settings & 2U) != 0)
            for (const int fd : {pump_sockets_[0], pump_sockets_[1], application_.socket.get()}) {
                constexpr int small = 1;
                ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
            }
        if ((settings & 4U) != 0) application_.say(200);
        std::string received = (settings & 8U) != 0 ? client_.first_bytes(first * 4U) : std::string();
        pump_ = std::make_unique<TlsPump>(
            poller_, server_context(), std::move(tunnel[1]), std::move(application[1]), std::move(received),
            [this](TlsPump&) { note_over(); }, [this](TlsPump&) { resetting_ = true; });
        // Nobody replaces the application: then it must be as if nobody had been asked.
        if ((settings & 32U) != 0) pump_->set_left([](TlsPump&) { return true; });
        constexpr std::uint32_t events = EPOLLIN | EPOLLOUT | EPOLLRDHUP;
        require(poller_.add(pump_sockets_[0], events, *pump_, TlsPump::tunnel_side).has_value());
        require(poller_.add(pump_sockets_[1], events, *pump_, TlsPump::application_side).has_value());
        pump_->begin();
        turn();
        if ((settings & 16U) == 0) shake_hands();
    }

    static Ends pair() {
        int ends[2];
        require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        return {net::UniqueFd(ends[0]), net::UniqueFd(ends[1])};
    }

    void shake_hands() {
        for (int i = 0; i < 8 && !client_.shaken(); ++i) {
            client_.push(most_said);
            turn();
            while (client_.pull(most_said)) {
            }
        }
        require(client_.shaken());
    }

    // Called before the pump's sockets are closed: what the application sees now, the pump has said.
    void note_over() {
        require(!over_);
        over_ = true;
        linger how{};
        socklen_t size = sizeof how;
        require(::getsockopt(pump_sockets_[0], SOL_SOCKET, SO_LINGER, &how, &size) == 0);
        aborted_ = how.l_onoff != 0;
        while (application_.read(most_said)) {
        }
        application_finished_ = application_.end == End::Finished;
        poller_.retire(std::move(pump_));
    }

    void turn() {
        loop_.poll();
        if (!over_ && pump_->undecided()) {
            pump_->keep_application();
            loop_.poll();
        }
        if (!resetting_ || over_) return;
        // What a timer does every now and then.
        pump_->check();
        loop_.poll();
    }

    void settle() {
        bool moved = true;
        while (moved) {
            moved = client_.push(most_said);
            turn();
            moved |= client_.pull(most_said);
            moved |= application_.read(most_said);
            turn();
        }
    }

    void check_bytes() const {
        require(application_.heard <= client_.told() && client_.heard() <= application_.told);
        // An end that was said is passed on only after all that was said before it.
        if (!over_ && application_.end == End::Finished)
            require(client_.finished() && application_.heard == client_.told());
        if (over_ && application_finished_ && client_.keeps_rules())
            require(client_.finished() && application_.heard == client_.told());
        if (client_.heard_the_end())
            require((application_.finished || application_.closed) && client_.heard() == application_.told);
        // Who goes without having heard all has been heard, all the same.
        if (client_.keeps_rules() && client_.shaken()) require(client_.heard() == application_.told);
    }

    void check_ends() const {
        if (!client_.shaken()) return;
        require(application_.heard == client_.told());
        require(client_.finished() == (application_.end == End::Finished));
        require(application_.finished == client_.heard_the_end());
        require(application_.finished == (client_.end() == End::Finished));
        require(over_ == (client_.finished() && application_.finished));
        require(!aborted_);
    }

    void forge(std::uint8_t much) {
        const std::string content(much / 8U, static_cast<char>(much));
        switch (much % 8U) {
        // An empty record of application data says nothing, and may be said (RFC 8446 section 5.1).
        case 0:
            client_.forge(SSL3_RT_APPLICATION_DATA, {}, true);
            break;
        case 1:
            client_.forge(SSL3_RT_ALERT, content, false);
            break;
        case 2:
            client_.forge(SSL3_RT_ALERT, std::string("\1\x5a", 2), false);
            break; // user_canceled
        case 3:
            client_.forge(SSL3_RT_HANDSHAKE, content, false);
            break;
        case 4:
            client_.forge(SSL3_RT_CHANGE_CIPHER_SPEC, std::string(1, '\1'), false);
            break;
        case 5:
            client_.forge(static_cast<std::uint8_t>(much), content, false);
            break;
        case 6:
            client_.forge(SSL3_RT_HANDSHAKE, std::string("\x18\0\0\1\2", 5), false);
            break; // no such key update
        case 7:
            client_.forge(SSL3_RT_APPLICATION_DATA, std::string(16385, 'x'), false);
            break;
        }
    }

    boost::asio::io_context loop_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
        boost::asio::make_work_guard(loop_);
    tunnel::Poller poller_{loop_.get_executor()};
    Client client_;
    Application application_;
    std::array<int, 2> pump_sockets_{};
    std::unique_ptr<TlsPump> pump_;
    bool over_ = false;
    bool aborted_ = false;
    bool resetting_ = false;
    bool application_finished_ = false; // it saw a FIN before the pump's sockets were closed
};

} // namespace

// As systemd does for services (IgnoreSIGPIPE=), and the connector by itself.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::signal(SIGPIPE, SIG_IGN);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return -1;
    Connection connection(data[0], data[1]);
    for (std::size_t at = 2; at + 1 < size; at += 2)
        connection.step(data[at], data[at + 1]);
    connection.finish();
    return 0;
}
