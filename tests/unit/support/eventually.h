// Waits in a test for what comes about while an event loop runs.
#pragma once

#include <boost/asio/io_context.hpp>

#include <chrono>

namespace p2prc::test {

// Runs the loop until the condition holds, a minute at most: a sanitizer and a busy machine are slow. Whether
// it holds.
template <class Condition>
bool eventually(boost::asio::io_context& loop, Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (!condition() && std::chrono::steady_clock::now() < end)
        loop.run_one_for(std::chrono::milliseconds(50));
    return condition();
}

} // namespace p2prc::test
