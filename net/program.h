// What the services of p2prc set for their whole process, the signals they obey, and how they fail.
#pragma once

#include "core/error.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/signal_set.hpp>

#include <functional>

namespace p2prc::net {

// Writing to a connection that was reset must be an error: splice(2), and write(2) as OpenSSL uses it, know
// no MSG_NOSIGNAL.
void ignore_broken_pipes() noexcept;

// Allows as many descriptors as the unit does: each client takes two or more.
void raise_descriptor_limit() noexcept;

// Logs why the program ends. Returns its exit status.
int report_failure(const Error& error);

// Obeys the signals of a service, from its construction until it is destroyed.
class Signals {
  public:
    struct Handlers {
        std::function<void()> reload;      // SIGHUP
        std::function<void()> stop;        // SIGTERM and SIGINT
        std::function<void()> stop_now;    // each further one of them; empty: they change nothing
        std::function<void()> report = {}; // SIGUSR1, if this is set
    };

    Signals(boost::asio::any_io_executor executor, Handlers handlers);

  private:
    void wait();
    void take(int signal);

    Handlers handlers_;
    boost::asio::signal_set signals_;
    bool stopping_ = false;
};

} // namespace p2prc::net
