// Blocking calls to p2prcd, for a program that does one thing and ends.
#pragma once

#include "core/error.h"
#include "core/fields.h"
#include "net/fd.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace p2prc::dbus {
class Message;
class Session;
} // namespace p2prc::dbus

namespace p2prc::cli {

using Json = nlohmann::json;

// One argument of a call, of one complete D-Bus type. With `fields`, an a{sv} whose members have the types of
// that table.
struct Argument {
    std::string type;
    Json value;
    std::span<const Field> fields = {};
};

class Daemon {
  public:
    Daemon();
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    // A method of org.p2prc1.Manager. The reply's one value, or null. Waits as long as the daemon does.
    // Unreachable when there is no bus.
    Result<Json> call(const std::string& method, std::vector<Argument> arguments = {});
    // A process's journal: the read end of a pipe, until the daemon closes it.
    Result<net::UniqueFd> logs(const std::string& process, std::uint32_t lines, bool follow);

  private:
    Result<dbus::Message> exchange(const std::string& method, const std::vector<Argument>& arguments);

    std::unique_ptr<dbus::Session> session_; // from the first call on
};

} // namespace p2prc::cli
