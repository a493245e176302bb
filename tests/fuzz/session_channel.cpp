// What a hostile peer says in a tunnel's session, to either end of it: frames of any type and length, cut
// anywhere, pings in floods that it does not read the answers of. What is no ping comes out once and in
// order, each ping is answered once, a broken frame ends the session, and nothing outlives it.
//
// An input is a byte that says which end of TLS is tested, then operations: what, how much, and so many bytes
// where it says some.
#include "tunnel/session_channel.h"

#include "tests/fuzz/tls_peer.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <csignal>
#include <deque>
#include <optional>

namespace {

namespace asio = boost::asio;
using namespace p2prc;
using fuzz::identity;
using fuzz::require;
using tunnel::FrameType;

bool is(const tunnel::SessionFrame& frame, FrameType type) {
    return frame.type == static_cast<std::uint8_t>(type);
}

class Peer final : public fuzz::TlsPeer {
  public:
    using TlsPeer::TlsPeer;

    // The tested end has received this.
    void received(const tunnel::SessionFrame& frame) {
        require(!frames_.empty() && frames_.front().type == frame.type &&
                frames_.front().payload == frame.payload);
        frames_.pop_front();
    }
    bool has_broken_a_frame() const { return broken_; }
    bool has_all_answers() const { return frames_.empty() && pings_.empty(); }

  private:
    void said(ByteView bytes) override {
        said_.feed(bytes);
        while (!broken_) {
            auto frame = said_.next();
            broken_ = !frame;
            if (broken_ || !*frame) return;
            if (is(**frame, FrameType::Ping))
                pings_.push_back(std::move((*frame)->payload));
            else if (!is(**frame, FrameType::Pong))
                frames_.push_back(std::move(**frame));
        }
    }
    void heard(ByteView bytes) override {
        heard_.feed(bytes);
        while (true) {
            const auto frame = heard_.next();
            require(frame.has_value());
            if (!*frame) return;
            if (!is(**frame, FrameType::Pong)) continue;
            require(!pings_.empty() && pings_.front() == (*frame)->payload);
            pings_.pop_front();
        }
    }

    tunnel::FrameReader said_, heard_;
    std::deque<tunnel::SessionFrame> frames_; // that the tested end has not received yet
    std::deque<Bytes> pings_;                 // without an answer
    bool broken_ = false;
};

class Tunnel {
  public:
    explicit Tunnel(bool server) : Tunnel(server, fuzz::connected_sockets()) {}
    Tunnel(const Tunnel&) = delete;
    Tunnel& operator=(const Tunnel&) = delete;

    void run(ByteView script) {
        while (script.size() >= 2) {
            const std::uint8_t what = script[0];
            const std::size_t much = script[1];
            script = script.subspan(2);
            script = script.subspan(step(what % 10U, much, script));
            if (what < 200)
                turn();
            else
                paused_ = true;
        }
        finish();
    }

  private:
    Tunnel(bool server, std::pair<int, int> ends) : peer_(ends.second, !server) {
        asio::co_spawn(loop_, serve(net::UniqueFd(ends.first), server),
                       [this](const std::exception_ptr& failure) {
                           require(!failure);
                           over_ = true;
                       });
        do
            loop_.poll();
        while (peer_.shake_hands());
        for (int i = 0; i < 4; ++i) {
            peer_.shake_hands();
            loop_.poll();
        }
        require(channel_.has_value());
    }

    asio::awaitable<void> serve(net::UniqueFd socket, bool server) {
        const auto any = [](std::string_view) { return true; };
        static const auto as_server = *net::tls_server(identity(), {{"test", any, {}}});
        static const auto as_client = *net::tls_client(identity(), "test", any);
        net::TlsStream stream(loop_.get_executor(), std::move(socket), server ? as_server : as_client);
        const auto side = server ? net::TlsStream::Side::Server : net::TlsStream::Side::Client;
        const auto shaken = co_await stream.handshake(side, std::chrono::seconds(5));
        require(shaken.has_value());
        channel_.emplace(loop_.get_executor(), std::move(stream));
        while (true) {
            const auto frame = co_await channel_->receive();
            if (!frame) co_return;
            require(!closed_);
            peer_.received(*frame);
            // As the edge ends a session whose peer's key is gone, in the middle of what has come.
            if (is(*frame, FrameType::Goodbye)) close();
            tunnel::parse_hello(frame->payload);
            tunnel::parse_want(frame->payload);
        }
    }

    // How many bytes of the script it has taken.
    std::size_t step(unsigned what, std::size_t much, ByteView script) {
        const auto bytes = script.first(std::min(much, script.size()));
        switch (what) {
        case 0:
            peer_.say(bytes);
            return bytes.size();
        case 1:
            peer_.say(tunnel::encode_frame(FrameType::Ping, bytes));
            return bytes.size();
        case 2:
            peer_.say(tunnel::encode_frame(static_cast<FrameType>(much),
                                           script.first(std::min<std::size_t>(9, script.size()))));
            break;
        case 3:
            for (std::size_t i = 0; i < much; ++i)
                peer_.say(tunnel::encode_frame(FrameType::Ping, Bytes(1000, 'p')));
            break;
        case 4:
            peer_.say_outside(bytes);
            return bytes.size();
        case 5:
            channel_->send(tunnel::encode_want(7));
            break;
        case 6:
            channel_->send(tunnel::encode_frame(FrameType::Goodbye, Bytes(much * 16, 'b')));
            break;
        case 7:
            channel_->probe(std::chrono::hours(1));
            break;
        case 8:
            paused_ = true;
            peer_.toggle_reading();
            break;
        case 9:
            if (much % 2 == 0) return 0;
            close();
            break;
        default:
            break;
        }
        return 0;
    }

    void close() {
        closed_ = true;
        channel_->close();
    }

    void turn() {
        // One thing after the other, so that the peer reads while it is answered.
        while (true) {
            const bool done = loop_.poll_one() > 0;
            if (!peer_.move() && !done) return;
        }
    }

    void finish() {
        peer_.read_again();
        turn();
        if (peer_.keeps_tls() && !closed_ && !paused_) {
            require(over_ == peer_.has_broken_a_frame());
            if (!over_) require(peer_.has_all_answers());
        }
        close();
        peer_.close();
        turn();
        require(over_);
        channel_.reset();
        turn();
    }

    asio::io_context loop_;
    asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(loop_);
    std::optional<tunnel::SessionChannel> channel_;
    Peer peer_;
    bool over_ = false;
    bool closed_ = false; // by the tested end
    bool paused_ = false; // the peer did not read for a time: the tested end may have given it up
};

} // namespace

// As systemd does for services (IgnoreSIGPIPE=); the peer of this test writes with write(2).
extern "C" int LLVMFuzzerInitialize(int*, char***) {
    std::signal(SIGPIPE, SIG_IGN);
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return -1;
    Tunnel tunnel(data[0] % 2 == 1);
    tunnel.run(ByteView(data + 1, size - 1));
    return 0;
}
