// Asks polkit whether a caller may do something: a bounded number of questions, each with a timeout.
#pragma once

#include "core/error.h"
#include "dbus/bus.h"

#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

namespace p2prc::daemon {

// Names and values that rules can look up, and "polkit.message", which an agent shows.
using PolkitDetails = std::map<std::string, std::string>;

struct PolkitQuestion {
    std::string action;
    PolkitDetails details = {};
    bool may_prompt = true; // where the call allows it
};

// A question is open for as long as a person looks for a password, and what asks it is held meanwhile. Every
// local user can make us ask, and be an agent of their own that never answers. So a user has a few at a time,
// and there are some in all: beyond it the oldest of whoever has the most is refused, not the newcomer.
class Polkit {
  public:
    static constexpr std::size_t questions_of_a_user = 3;
    static constexpr std::size_t questions = 16;
    // Cancelled ones count until polkit has answered them. dbus-daemon allows a connection 128 calls that
    // wait for an answer, and starting units needs some of them.
    static constexpr std::size_t unanswered = 64;

    // `bus` must outlive it.
    explicit Polkit(dbus::Bus& bus);
    ~Polkit();
    Polkit(const Polkit&) = delete;
    Polkit& operator=(const Polkit&) = delete;

    // Returns when polkit lets the sender of `call`, who is `uid`, do what is asked about. Otherwise
    // NotPermitted, also when there is no polkit. It may ask a person when the call allows that.
    boost::asio::awaitable<Result<void>> ask(dbus::Message call, uid_t uid, PolkitQuestion about);

    // How long a person may take to answer.
    std::chrono::seconds timeout{120};

  private:
    struct Question;
    struct State;
    void make_room(uid_t uid);
    void cancel(const Question& question);

    dbus::Bus* bus_;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::daemon
