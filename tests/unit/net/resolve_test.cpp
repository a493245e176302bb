#include "net/resolve.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <algorithm>

namespace p2prc::net {
namespace {

Result<std::vector<Address>> ask(const std::string& name) {
    boost::asio::io_context loop;
    Result<std::vector<Address>> result = fail(ErrorCode::Failed, "not run");
    boost::asio::co_spawn(loop, resolve(name, std::chrono::seconds(10)),
                          [&](std::exception_ptr, Result<std::vector<Address>> answer) { result = answer; });
    loop.run();
    return result;
}

TEST(Resolve, AddressesOfAName) {
    const auto local = ask("localhost");
    ASSERT_TRUE(local) << local.error().message;
    EXPECT_TRUE(std::ranges::any_of(*local, &Address::is_loopback));
    const auto number = ask("203.0.113.7");
    ASSERT_TRUE(number);
    EXPECT_EQ(number->front().text(), "203.0.113.7");
}

TEST(Resolve, WhatIsNoNameIsSaid) {
    const auto none = ask("no name at all");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, ErrorCode::Unreachable);
}

} // namespace
} // namespace p2prc::net
