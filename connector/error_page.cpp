#include "connector/error_page.h"

#include "connector/http_page.h"
#include "net/asio.h"
#include "net/one_shot_timer.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <optional>
#include <string>

namespace p2prc::connector {
namespace asio = boost::asio;
asio::awaitable<void> serve_error_page(net::UniqueFd fd, Page page, ErrorPageOptions options) {
    const auto executor = co_await asio::this_coro::executor;
    asio::local::stream_protocol::socket socket(executor, asio::local::stream_protocol(), fd.release());
    net::OneShotTimer deadline(executor);
    deadline.arm(options.timeout, [&socket] {
        boost::system::error_code ignored;
        socket.cancel(ignored);
    });
    std::string received;
    std::array<char, 4096> buffer;
    std::optional<std::string> answer;
    while (!answer && received.size() < options.longest_head) {
        const auto [error, size] = co_await socket.async_read_some(asio::buffer(buffer), net::as_result);
        if (error) co_return;
        received.append(buffer.data(), size);
        answer = error_page(received, page);
    }
    if (answer && !answer->empty()) {
        const auto [error, sent] = co_await asio::async_write(socket, asio::buffer(*answer), net::as_result);
        if (error) co_return;
    }
    boost::system::error_code ignored;
    socket.shutdown(asio::socket_base::shutdown_send, ignored);
    // Closing with bytes unread, such as a request's body, would send a reset (unix(7)), and the client might
    // discard the page.
    for (std::size_t drained = 0; drained < options.most_drained;) {
        const auto [end, size] = co_await socket.async_read_some(asio::buffer(buffer), net::as_result);
        if (end) co_return;
        drained += size;
    }
}

} // namespace p2prc::connector
