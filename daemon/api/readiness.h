// Finds out which processes of this node are ready, and writes it into their statuses.
#pragma once

#include "daemon/api/view.h"
#include "net/listeners.h"
#include "net/one_shot_timer.h"
#include "process/port_target.h"
#include "state/own_state.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

// A process with a port is ready when a socket of its own control group listens there, one without when it
// has lived for two seconds. Each run becomes ready once; what it does later is not looked at here. While
// none waits to become ready, nothing is done.
class Readiness {
  public:
    // Where it looks for listeners; replaced in tests.
    struct Sources {
        std::function<Result<std::vector<net::Listener>>()> listeners;
        std::function<process::UnitSockets(const std::string& process)> unit;
    };
    static Sources of_this_machine();

    // `view` and `own` must outlive it.
    Readiness(boost::asio::any_io_executor executor, const View& view, state::OwnState& own,
              Sources sources = of_this_machine());

    void start();

  private:
    using Clock = std::chrono::steady_clock;
    struct Run {
        std::string invocation;
        Clock::time_point since; // when it was seen to run
    };
    void note(const std::string& key);
    void look();
    void look_in(Clock::duration time);
    // What the run is waiting for; nothing: it is ready. `listeners` is filled when needed.
    std::optional<std::string> lack(const ProcessRecord& record, Clock::duration age,
                                    std::optional<std::vector<net::Listener>>& listeners) const;

    const View* view_;
    state::OwnState* own_;
    Sources sources_;
    std::map<std::string, Run> waiting_; // by key of the status
    state::Subscription subscription_;
    net::OneShotTimer timer_;
};

} // namespace p2prc::daemon
