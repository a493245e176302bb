#include "net/program.h"

#include "net/log.h"
#include "net/notify.h"
#include "net/spawn.h"

#include <sys/resource.h>

#include <csignal>
#include <exception>
#include <utility>

namespace p2prc::net {

void ignore_broken_pipes() noexcept {
    std::signal(SIGPIPE, SIG_IGN);
}

void raise_descriptor_limit() noexcept {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int report_failure(const Error& error) {
    log_error(error.hint.empty() ? error.message : error.message + "; " + error.hint);
    return error_info(error.code).exit_status;
}

Signals::Signals(boost::asio::any_io_executor executor, Handlers handlers)
    : handlers_(std::move(handlers))
    , signals_(executor, SIGHUP, SIGTERM, SIGINT) {
    if (handlers_.report) signals_.add(SIGUSR1);
    wait();
}

void Signals::wait() {
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
        if (error) return;
        wait();
        // A reload that fails must not end the program.
        try {
            take(signal);
        } catch (...) {
            ReportFailure("handling a signal")(std::current_exception());
        }
    });
}

void Signals::take(int signal) {
    if (signal == SIGHUP) {
        handlers_.reload();
    } else if (signal == SIGUSR1) {
        handlers_.report();
    } else if (!std::exchange(stopping_, true)) {
        notify_stopping();
        handlers_.stop();
    } else if (handlers_.stop_now) {
        handlers_.stop_now();
    }
}

} // namespace p2prc::net
