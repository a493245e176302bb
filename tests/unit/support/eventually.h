// Waits in a test for what comes about while an event loop runs.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>

namespace p2prc::test {

// Runs the loop until the condition holds, ten seconds at most. Whether it holds.
template <class Condition>
bool eventually(boost::asio::io_context& loop, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition() && std::chrono::steady_clock::now() < end)
        loop.run_one_for(std::chrono::milliseconds(50));
    return condition();
}

} // namespace p2prc::test
