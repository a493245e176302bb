// One answer for all who ask the same within a moment, however many they are.
#pragma once

#include "core/error.h"
#include "core/json.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace p2prc::daemon {

class SharedAnswer {
  public:
    using Ask = std::function<boost::asio::awaitable<Result<Json>>()>;

    // An answer is given again until it is older than `fresh`.
    SharedAnswer(boost::asio::any_io_executor executor, std::chrono::milliseconds fresh);

    // `ask` ends by itself. It is not called while another one is under way: that one's answer is shared. If
    // it throws, its caller gets the exception, and those who shared it an error.
    boost::asio::awaitable<Result<Json>> get(Ask ask);

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
