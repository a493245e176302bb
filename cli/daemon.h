// Blocking calls to p2prcd, for a program that does one thing and ends.
#pragma once

#include "cli/password_agent.h"
#include "cli/progress.h"
#include "dbus/client.h"
#include "dbus/session.h"
#include "net/fd.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace p2prc::cli {

using Json = nlohmann::json;

class Daemon {
  public:
    // Makes one call and waits for its answer, as long as the daemon takes: call(&dbus::Client::kill, name).
    // The bus is connected to at the first call. Every error has a hint.
    template <class T, class... Parameters, class... Arguments>
    Result<T> call(boost::asio::awaitable<Result<T>> (dbus::Client::*method)(Parameters...),
                   Arguments&&... arguments) {
        if (auto connected = connect(); !connected) return std::unexpected(connected.error());
        dbus::Client client(session_->bus(), true, [this] { agent_.start(); });
        auto work = (client.*method)(std::forward<Arguments>(arguments)...);
        if (!told_of_.empty()) work = beside(progress(client), std::move(work));
        auto answer = session_->run(std::move(work), [this] { say_what_for(); });
        if (!answer) return std::unexpected(with_hint(answer.error()));
        return answer;
    }
    // What the next calls wait for. A person at a terminal reads it when one has taken two seconds.
    void waits_for(std::string what) { waits_for_ = std::move(what); }
    // What this process lacks to be ready is told during the next calls, on a terminal or not.
    void tells_of(std::string process) { told_of_ = std::move(process); }
    // Says under a list of what the fleet has that it may be out of date, where the root is not reachable.
    void note_if_out_of_date();
    // A process's journal: the read end of a pipe, until the daemon closes it.
    Result<net::UniqueFd> logs(const std::string& process, std::uint32_t lines, bool follow, bool deploy);

  private:
    Result<void> connect();
    void say_what_for() const;
    boost::asio::awaitable<void> progress(dbus::Client& client) const;
    static Error with_hint(Error error);

    std::string waits_for_, told_of_;
    std::unique_ptr<dbus::Session> session_;
    PasswordAgent agent_;
};

} // namespace p2prc::cli
