#include "daemon/api/log_stream.h"

#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <sys/socket.h>

#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;

namespace {

// Completes when the reader has closed its end; what it might write is not wanted.
asio::awaitable<void> until_closed(Socket& socket) {
    char byte = 0;
    boost::system::error_code error;
    while (!error)
        co_await socket.async_read_some(asio::buffer(&byte, 1),
                                        asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> copy(link::TextStream& stream, Socket& socket) {
    while (true) {
        const auto piece = co_await stream.next();
        std::string text;
        if (!piece)
            text = "p2prc: the log ends here (" + std::string(error_info(piece.error().code).name) +
                   "): " + piece.error().message + "\n";
        else if (*piece)
            text = **piece;
        else
            co_return;
        boost::system::error_code error;
        co_await asio::async_write(socket, asio::buffer(text),
                                   asio::redirect_error(asio::use_awaitable, error));
        if (error || !piece) co_return;
    }
}

asio::awaitable<void> pump(std::unique_ptr<link::TextStream> stream, Socket socket) {
    using namespace asio::experimental::awaitable_operators;
    co_await (copy(*stream, socket) || until_closed(socket));
}

} // namespace

// A socket pair rather than a pipe: the writer sees that the reader went also while there is nothing to
// write, and no SIGPIPE comes.
Result<std::shared_ptr<net::UniqueFd>> pump_logs(asio::any_io_executor executor,
                                                 std::unique_ptr<link::TextStream> stream) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return std::unexpected(system_error("making a stream for logs", errno));
    auto reader = std::make_shared<net::UniqueFd>(ends[0]);
    Socket socket(executor, asio::local::stream_protocol(), ends[1]);
    asio::co_spawn(executor, pump(std::move(stream), std::move(socket)),
                   net::ReportFailure("a stream of logs"));
    return reader;
}

} // namespace p2prc::daemon
