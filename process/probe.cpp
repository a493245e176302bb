#include "process/probe.h"

#include "core/text.h"
#include "net/asio.h"
#include "net/dial.h"
#include "net/listeners.h"
#include "process/http_status.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>

namespace p2prc::process {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Verdict = ProbeAnswer::Verdict;

namespace {

// What comes after the status line is read and dropped, so that the server does not meet a reset in the midst
// of it and log that; not without end.
constexpr auto longest_rest = 250ms;
constexpr std::size_t most_of_the_rest = 64UL * 1024;

// A socket that is closed when its time is over.
class TimedSocket {
  public:
    TimedSocket(const asio::any_io_executor& executor, const net::Endpoint& endpoint, net::UniqueFd fd)
        : socket_(std::make_shared<tcp::socket>(executor, endpoint.address.is_v4() ? tcp::v4() : tcp::v6(),
                                                fd.release()))
        , timer_(executor) {}

    tcp::socket& operator*() { return *socket_; }
    void close_at(Clock::time_point when) {
        timer_.expires_at(when);
        timer_.async_wait([weak = std::weak_ptr(socket_)](const boost::system::error_code& error) {
            boost::system::error_code ignored;
            if (const auto socket = weak.lock(); !error && socket) socket->close(ignored);
        });
    }

  private:
    std::shared_ptr<tcp::socket> socket_;
    asio::steady_timer timer_;
};

std::string seconds_text(std::chrono::milliseconds time) {
    return fmt::format("{:g} s", std::chrono::duration<double>(time).count());
}

// Reads until the status line is there, then what follows it.
asio::awaitable<ProbeAnswer> read_answer(TimedSocket& socket, Clock::time_point deadline,
                                         std::chrono::milliseconds timeout) {
    std::string received;
    HttpStatus status;
    auto read = StatusRead::NeedMore;
    boost::system::error_code error;
    std::array<char, longest_status_line> buffer{};
    while (read == StatusRead::NeedMore) {
        const auto [failed, size] = co_await (*socket).async_read_some(asio::buffer(buffer), net::as_result);
        error = failed;
        if (error) break;
        received.append(buffer.data(), size);
        read = read_http_status(received, status);
    }
    if (read == StatusRead::Malformed)
        co_return ProbeAnswer{Verdict::Bad, "the answer is not HTTP: " + text::excerpt(received, 40)};
    if (read == StatusRead::NeedMore && error == asio::error::operation_aborted)
        co_return ProbeAnswer{
            Verdict::Bad,
            fmt::format("no {}answer within {}", received.empty() ? "" : "whole ", seconds_text(timeout))};
    if (read == StatusRead::NeedMore)
        co_return ProbeAnswer{Verdict::Bad, "it closed the connection without an answer"};
    const bool good = status.code >= 200 && status.code < 400;
    ProbeAnswer answer{good ? Verdict::Good : Verdict::Bad, std::to_string(status.code)};
    if (!status.phrase.empty()) answer.words += " " + text::excerpt(status.phrase);
    socket.close_at(std::min(deadline, Clock::now() + longest_rest));
    for (std::size_t rest = 0; rest < most_of_the_rest;) {
        const auto [failed, size] = co_await (*socket).async_read_some(asio::buffer(buffer), net::as_result);
        if (failed) break;
        rest += size;
    }
    co_return answer;
}

} // namespace

asio::awaitable<ProbeAnswer> probe_http(net::Endpoint endpoint, std::set<std::uint64_t> groups,
                                        std::string path, std::chrono::milliseconds timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto deadline = Clock::now() + timeout;
    const auto asked = "GET " + path + ": ";
    auto dialled = co_await net::dial(endpoint, timeout);
    if (!dialled) co_return ProbeAnswer{Verdict::Bad, asked + dialled.error().message};
    if (!groups.empty()) {
        const auto peer = net::peer_socket(dialled->get());
        if (!peer || !groups.contains(peer->cgroup))
            co_return ProbeAnswer{Verdict::Bad,
                                  fmt::format("port {} is not its own any more", endpoint.port)};
    }
    TimedSocket socket(executor, endpoint, std::move(*dialled));
    socket.close_at(deadline);
    // RFC 9112 section 3.2: Host is a must; servers by name answer for this one by default.
    const auto request =
        fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: p2prc/{}\r\nAccept: */*\r\n"
                    "Connection: close\r\n\r\n",
                    path, P2PRC_VERSION);
    // A server that answers without reading may close the connection first; its answer is there all the same.
    (void)co_await asio::async_write(*socket, asio::buffer(request), net::as_result);
    auto answer = co_await read_answer(socket, deadline, timeout);
    answer.words.insert(0, asked);
    co_return answer;
}

asio::awaitable<ProbeAnswer> probe_command(Systemd& systemd, std::string process, TransientUnit unit,
                                           JobShare share, LastLine last_line) {
    const auto name = probe_unit_name(process);
    const auto begun = Clock::now();
    const auto since = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                      std::chrono::system_clock::now().time_since_epoch())
                                                      .count());
    const auto result = co_await systemd.start_transient(name, std::move(unit), std::move(share));
    if (!result && result.error().code == ErrorCode::InvalidSpec)
        co_return ProbeAnswer{Verdict::Bad, result.error().message};
    if (!result) co_return ProbeAnswer{Verdict::Unknown, result.error().message};
    if (*result == "done") co_return ProbeAnswer{Verdict::Good, "the command succeeded"};
    // "canceled": somebody stopped it.
    if (*result != "failed" && *result != "timeout")
        co_return ProbeAnswer{Verdict::Unknown, fmt::format("the command ended as '{}'", *result)};
    ProbeAnswer answer{Verdict::Bad, Clock::now() - begun >= probe_command_timeout
                                         ? fmt::format("the command took longer than {}",
                                                       seconds_text(probe_command_timeout))
                                         : std::string("the command failed")};
    std::string line;
    if (last_line) line = co_await last_line(name, since);
    if (!line.empty()) answer.words += ": " + text::excerpt(line, 200);
    co_return answer;
}

} // namespace p2prc::process
