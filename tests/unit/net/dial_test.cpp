#include "net/dial.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

namespace p2prc::net {
namespace {

using namespace std::chrono_literals;

std::optional<Result<UniqueFd>> dialled(Endpoint endpoint) {
    boost::asio::io_context loop;
    std::optional<Result<UniqueFd>> result;
    boost::asio::co_spawn(loop, dial(endpoint, 5s, 5s),
                          [&](std::exception_ptr, Result<UniqueFd> done) { result = std::move(done); });
    loop.run();
    return result;
}

class Listener {
  public:
    Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof name;
        auto* plain = reinterpret_cast<sockaddr*>(&name);
        EXPECT_EQ(::bind(fd_.get(), plain, size), 0);
        EXPECT_EQ(::listen(fd_.get(), 1), 0);
        EXPECT_EQ(::getsockname(fd_.get(), plain, &size), 0);
        port = ntohs(name.sin_port);
    }
    std::uint16_t port = 0;
    void close() { fd_.reset(); }

  private:
    UniqueFd fd_;
};

TEST(Dial, WhatItOpensIsNotInheritedAndDoesNotBlock) {
    const Listener listener;
    auto result = dialled({*Address::parse("127.0.0.1"), listener.port});
    ASSERT_TRUE(result && *result);
    const int fd = (*result)->get();
    EXPECT_TRUE(::fcntl(fd, F_GETFD) & FD_CLOEXEC);
    EXPECT_TRUE(::fcntl(fd, F_GETFL) & O_NONBLOCK);
}

TEST(Dial, NobodyThereIsUnreachable) {
    Listener listener;
    listener.close();
    const auto result = dialled({*Address::parse("127.0.0.1"), listener.port});
    ASSERT_TRUE(result && !*result);
    EXPECT_EQ(result->error().code, ErrorCode::Unreachable);
}

} // namespace
} // namespace p2prc::net
