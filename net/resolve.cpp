#include "net/resolve.h"

#include "net/asio.h"
#include "net/fd.h"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>

namespace p2prc::net {

namespace asio = boost::asio;

namespace {

// What the thread and the waiter share: whichever ends last frees it.
struct Answer {
    UniqueFd done; // an eventfd: the thread knows nothing of the loop, which may be gone by then
    std::mutex mutex;
    std::vector<Address> addresses;
    std::string error;
};

void ask(const std::shared_ptr<Answer>& answer, const std::string& name) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int code = ::getaddrinfo(name.c_str(), nullptr, &hints, &list);
    {
        const std::lock_guard lock(answer->mutex);
        if (code != 0) answer->error = ::gai_strerror(code);
        for (const auto* entry = code == 0 ? list : nullptr; entry; entry = entry->ai_next)
            answer->addresses.push_back(Endpoint::from_sockaddr(entry->ai_addr, entry->ai_addrlen).address);
    }
    if (code == 0) ::freeaddrinfo(list);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(answer->done.get(), &one, sizeof one);
}

} // namespace

asio::awaitable<Result<std::vector<Address>>> resolve(std::string name, std::chrono::milliseconds timeout) {
    const auto executor = co_await asio::this_coro::executor;
    const auto answer = std::make_shared<Answer>();
    answer->done = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    UniqueFd copy(::dup(answer->done.get()));
    if (!answer->done || !copy) co_return std::unexpected(system_error("cannot look up " + name, errno));
    const auto waiting = std::make_shared<asio::posix::stream_descriptor>(executor, copy.release());
    try {
        std::thread([answer, name] { ask(answer, name); }).detach();
    } catch (const std::system_error& error) {
        co_return fail(ErrorCode::Failed, std::string("cannot start a thread: ") + error.what());
    }
    asio::steady_timer timer(executor, timeout);
    timer.async_wait([weak = std::weak_ptr(waiting)](const boost::system::error_code& error) {
        boost::system::error_code ignored;
        if (const auto descriptor = weak.lock(); !error && descriptor) descriptor->close(ignored);
    });
    const auto [late] = co_await waiting->async_wait(asio::posix::stream_descriptor::wait_read, as_result);
    if (late) co_return fail(ErrorCode::Unreachable, "looking up the name " + name + " timed out");
    const std::lock_guard lock(answer->mutex);
    if (!answer->error.empty())
        co_return fail(ErrorCode::Unreachable, "the name " + name + ": " + answer->error);
    co_return answer->addresses;
}

} // namespace p2prc::net
