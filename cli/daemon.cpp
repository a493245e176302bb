#include "cli/daemon.h"

#include "cli/output.h"

#include <unistd.h>

#include <chrono>

namespace p2prc::cli {

namespace {

constexpr std::chrono::seconds between_looks{2};

} // namespace

// What a person can do about an error that has no hint of its own.
Error Daemon::with_hint(Error error) {
    if (!error.hint.empty()) return error;
    if (error.code == ErrorCode::Unreachable) error.hint = "is the daemon running? systemctl status p2prcd";
    if (error.code == ErrorCode::NotPermitted) error.hint = "run it with sudo";
    return error;
}

void Daemon::say_what_for() const {
    if (!waits_for_.empty() && isatty(STDERR_FILENO) != 0) note("waiting " + waits_for_ + " ...");
}

boost::asio::awaitable<void> Daemon::progress(dbus::Client& client) const {
    return tell_progress([this, &client] { return client.information(told_of_); },
                         [](const std::string& words) { note(words); }, between_looks);
}

void Daemon::note_if_out_of_date() {
    const auto reachable = call(&dbus::Client::reachable);
    if (reachable && !*reachable) note("the root is not reachable: this may be out of date");
}

Result<void> Daemon::connect() {
    if (session_) return {};
    auto session = dbus::Session::open();
    if (!session)
        return fail(ErrorCode::Unreachable,
                    "the system's message bus does not answer: " + session.error().message,
                    "systemctl status dbus");
    session_ = std::move(*session);
    return {};
}

Result<net::UniqueFd> Daemon::logs(const std::string& process, std::uint32_t lines, bool follow,
                                   bool deploy) {
    auto stream = call(&dbus::Client::logs, process, lines, follow, deploy);
    if (!stream) return std::unexpected(stream.error());
    return net::UniqueFd(*stream);
}

} // namespace p2prc::cli
