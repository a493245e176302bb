// When the processes of this node are measured: soon after a start, often while somebody looks, else seldom.
#pragma once

#include "state/own_state.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace p2prc::daemon {

struct MeasuringTiming {
    std::chrono::milliseconds after_start{3000};
    std::chrono::milliseconds looked_at{5000}; // from one to the next while somebody looks
    std::chrono::milliseconds seldom{60000};   // the same when nobody does
    std::chrono::milliseconds look{30000};     // how long a look lasts
};

// Here processes are measured when they are asked for; this is for those who look from other nodes.
class Measuring {
  public:
    // Begins at once, and ends when it is destroyed. `own` outlives it.
    Measuring(boost::asio::any_io_executor executor, state::OwnState& own, std::function<void()> measure,
              MeasuringTiming timing = {});
    ~Measuring();

    // Somebody on some node looks.
    void look();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
