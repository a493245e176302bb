// Who may call what, and who it is that calls.
#pragma once

#include "core/error.h"
#include "daemon/api/polkit.h"
#include "dbus/bus.h"

#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

#include <ctime>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace p2prc::daemon {

enum class Right {
    Open,      // every local user: it reads what is no secret
    Polkit,    // root, and whom polkit lets
    Edge,      // the user p2prc-edge alone
    Connector, // the user p2prc-connector alone
};

struct Permission {
    Right right;
    std::string_view action = {}; // of polkit, after "org.p2prc1."
};

namespace permission {
inline constexpr Permission open{Right::Open};
inline constexpr Permission edge{Right::Edge};
inline constexpr Permission connector{Right::Connector};
inline constexpr Permission spin{Right::Polkit, "spin"};
inline constexpr Permission kill{Right::Polkit, "kill"};
inline constexpr Permission map_domain{Right::Polkit, "map-domain"};
inline constexpr Permission read_logs{Right::Polkit, "read-logs"};
inline constexpr Permission manage_fleet{Right::Polkit, "manage-fleet"};
} // namespace permission

struct Caller {
    uid_t uid = 0;
    std::string user;   // name, or the number where it has none
    std::string sender; // its connection
};

struct HelperUsers {
    std::string edge = "p2prc-edge";
    std::string connector = "p2prc-connector";
};

// Names of users by their numbers, from the machine's own file: getpwuid(3) may ask a directory server, and
// calls are many. A user of another source goes by the number.
class UserNames {
  public:
    explicit UserNames(std::string file = "/etc/passwd") : file_(std::move(file)) {}
    std::string of(uid_t uid);

  private:
    std::string file_;
    ino_t inode_ = 0;
    timespec changed_{};
    std::unordered_map<uid_t, std::string> names_; // what the file said then
};

class Authorisation {
  public:
    // `bus` must outlive it.
    explicit Authorisation(dbus::Bus& bus, HelperUsers users = {});

    // Who calls. NotPermitted for a user whom the permission leaves out, whatever polkit says.
    boost::asio::awaitable<Result<Caller>> identify(dbus::Message call, Permission permission);
    // Asks polkit where the caller must be asked for; NotPermitted when it refuses. Without polkit only root
    // may do what asks it. Polkit may ask the caller's user when the call allows it.
    boost::asio::awaitable<Result<void>> permit(dbus::Message call, Caller caller, Permission permission,
                                                PolkitDetails details);
    // Whether the caller may do it as things are: nobody is asked for a password.
    boost::asio::awaitable<bool> allows(dbus::Message call, Caller caller, Permission permission,
                                        PolkitDetails details);

  private:
    dbus::Bus* bus_;
    HelperUsers users_;
    UserNames names_;
    Polkit polkit_;
};

} // namespace p2prc::daemon
