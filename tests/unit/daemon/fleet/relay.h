// Stands in for the edge in tests: a TCP port whose connections reach a control socket with a PROXY header in
// front, and which can be cut.
#pragma once

#include "net/asio.h"
#include "net/proxy_protocol.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <memory>
#include <string>
#include <vector>

namespace p2prc::daemon {

class Relay {
    using Tcp = boost::asio::ip::tcp;
    using Local = boost::asio::local::stream_protocol;

  public:
    enum class Mode { Pass, Swallow, Refuse }; // Swallow: connections stay, bytes vanish, as with a cut cable

    Relay(boost::asio::io_context& loop, std::string socket)
        : loop_(loop)
        , acceptor_(loop, Tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0))
        , socket_(std::move(socket)) {
        boost::asio::co_spawn(loop_, accept(), boost::asio::detached);
    }

    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    void set(Mode mode) {
        *mode_ = mode;
        if (mode == Mode::Refuse) drop();
    }
    void drop() {
        for (const auto& weak : std::exchange(pairs_, {}))
            if (const auto pair = weak.lock()) pair->close();
    }
    void stop() {
        acceptor_.close();
        drop();
    }

  private:
    struct Pair {
        explicit Pair(boost::asio::io_context& loop) : outer(loop), inner(loop) {}
        Tcp::socket outer;
        Local::socket inner;
        void close() {
            boost::system::error_code ignored;
            outer.close(ignored);
            inner.close(ignored);
        }
    };

    boost::asio::awaitable<void> accept() {
        while (true) {
            const auto pair = std::make_shared<Pair>(loop_);
            const auto [error] = co_await acceptor_.async_accept(pair->outer, net::as_result);
            if (error) co_return;
            if (*mode_ == Mode::Refuse) continue;
            pairs_.push_back(pair);
            const Local::endpoint target(socket_);
            const auto [failed] = co_await pair->inner.async_connect(target, net::as_result);
            if (failed) continue;
            net::ProxyHeader header;
            header.source = net::peer_endpoint(pair->outer.native_handle());
            header.destination = net::local_endpoint(pair->outer.native_handle());
            const auto bytes = *net::encode_proxy_header(header);
            const auto buffer = boost::asio::buffer(bytes);
            co_await boost::asio::async_write(pair->inner, buffer, net::as_result);
            boost::asio::co_spawn(loop_, pump(pair, true, mode_), boost::asio::detached);
            boost::asio::co_spawn(loop_, pump(pair, false, mode_), boost::asio::detached);
        }
    }

    static boost::asio::awaitable<void> pump(std::shared_ptr<Pair> pair, bool inward,
                                             std::shared_ptr<Mode> mode) {
        std::vector<char> data(65536);
        const auto target = boost::asio::buffer(data);
        while (true) {
            std::size_t size = 0;
            boost::system::error_code error;
            if (inward)
                std::tie(error, size) = co_await pair->outer.async_read_some(target, net::as_result);
            else
                std::tie(error, size) = co_await pair->inner.async_read_some(target, net::as_result);
            if (error) break;
            if (*mode == Mode::Swallow) continue;
            const auto source = boost::asio::buffer(data.data(), size);
            if (inward)
                std::tie(error, size) =
                    co_await boost::asio::async_write(pair->inner, source, net::as_result);
            else
                std::tie(error, size) =
                    co_await boost::asio::async_write(pair->outer, source, net::as_result);
            if (error) break;
        }
        if (*mode != Mode::Swallow) pair->close();
    }

    boost::asio::io_context& loop_;
    Tcp::acceptor acceptor_;
    std::string socket_;
    std::shared_ptr<Mode> mode_ = std::make_shared<Mode>(Mode::Pass);
    std::vector<std::weak_ptr<Pair>> pairs_;
};

} // namespace p2prc::daemon
