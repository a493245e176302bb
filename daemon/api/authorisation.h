// Who may call what: the one table from methods to rights, and the questions to polkit.
#pragma once

#include "core/error.h"
#include "dbus/bus.h"

#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>

namespace p2prc::daemon {

enum class Right {
    Open,      // every local user: it reads what is no secret
    Polkit,    // root, and whom polkit lets
    Edge,      // the user p2prc-edge alone
    Connector, // the user p2prc-connector alone
};

struct MethodRight {
    std::string_view interface; // after "org.p2prc1."
    std::string_view member;
    Right right;
    std::string_view action = {}; // of polkit, after "org.p2prc1."
};

std::span<const MethodRight> method_rights() noexcept;
// nullptr: denied.
const MethodRight* find_right(std::string_view interface, std::string_view member) noexcept;

// Who calls, once it is known that they may.
struct Caller {
    uid_t uid = 0;
    std::string user;   // name, or the number where it has none
    std::string sender; // its connection
};

struct HelperUsers {
    std::string edge = "p2prc-edge";
    std::string connector = "p2prc-connector";
};

class Authorisation {
  public:
    // `bus` must outlive it.
    explicit Authorisation(dbus::Bus& bus, HelperUsers users = {});

    // NotPermitted for a method that is not in the table, a wrong user, and what polkit refuses. Without
    // polkit only root may do what asks it. Polkit may ask the caller's user when the call allows it.
    boost::asio::awaitable<Result<Caller>> check(dbus::Message call);

  private:
    boost::asio::awaitable<Result<void>> ask_polkit(dbus::Message call, std::string action);

    dbus::Bus* bus_;
    HelperUsers users_;
};

} // namespace p2prc::daemon
