// While a process is waited for: says what it lacks to be ready, whenever that changes.
#pragma once

#include "core/error.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <variant>

namespace p2prc::cli {

// "'web' is deploying: the deployer 'image' prepares it"; empty: it lacks nothing, or that is not known.
std::string progress_words(const nlohmann::json& process);

// Asks `look` for the process, again and again, and gives what is new to `tell`. Until it is cancelled.
boost::asio::awaitable<void>
tell_progress(std::function<boost::asio::awaitable<Result<nlohmann::json>>()> look,
              std::function<void(const std::string&)> tell, std::chrono::steady_clock::duration between);

// The result of `work`, with `telling` beside it.
template <class T>
boost::asio::awaitable<Result<T>> beside(boost::asio::awaitable<void> telling,
                                         boost::asio::awaitable<Result<T>> work) {
    using namespace boost::asio::experimental::awaitable_operators;
    auto first = co_await (std::move(work) || std::move(telling));
    if (auto* result = std::get_if<0>(&first)) co_return std::move(*result);
    co_return fail(ErrorCode::Failed, "nothing was waited for");
}

} // namespace p2prc::cli
