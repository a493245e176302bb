#include "daemon/fleet/units.h"

#include "dbus/bus.h"
#include "dbus/codec.h"

#include <nlohmann/json.hpp>

namespace p2prc::daemon {

namespace asio = boost::asio;
using Json = nlohmann::json;

namespace {

constexpr auto manager_name = "org.freedesktop.systemd1";
constexpr auto manager_path = "/org/freedesktop/systemd1";
constexpr auto manager_interface = "org.freedesktop.systemd1.Manager";
// A reload of all units takes its time on a machine that is busy booting.
constexpr auto timeout = std::chrono::seconds(90);

struct Argument {
    std::string type;
    Json value;
};

asio::awaitable<dbus::Message> ask(dbus::Bus& bus, std::string member, std::vector<Argument> arguments) {
    auto message = bus.new_call(manager_name, manager_path, manager_interface, member);
    if (!message) co_return dbus::Message();
    for (const auto& [type, value] : arguments)
        if (const auto written = dbus::write_value(*message, type, value); !written)
            co_return dbus::Message();
    co_return co_await bus.exchange(*message, timeout);
}

asio::awaitable<Result<void>> tell(dbus::Bus& bus, std::string member, std::vector<Argument> arguments) {
    const auto reply = co_await ask(bus, member, std::move(arguments));
    if (!reply) co_return fail(ErrorCode::Failed, "cannot ask systemd for " + member);
    if (reply.is_error()) {
        auto error = reply.to_error();
        error.message = "systemd, " + member + ": " + error.message;
        co_return std::unexpected(error);
    }
    co_return Result<void>();
}

} // namespace

asio::awaitable<Result<bool>> SystemdUnits::installed(std::string unit) {
    std::vector<Argument> arguments;
    arguments.push_back({"s", unit});
    const auto reply = co_await ask(bus_, "GetUnitFileState", std::move(arguments));
    if (!reply) co_return fail(ErrorCode::Failed, "cannot ask systemd for " + unit);
    if (!reply.is_error()) co_return true;
    // systemd 252 answers with the name of ENOENT.
    const auto name = reply.error_name();
    if (name == "org.freedesktop.DBus.Error.FileNotFound" || name == "org.freedesktop.systemd1.NoSuchUnit")
        co_return false;
    co_return std::unexpected(reply.to_error());
}

asio::awaitable<Result<void>> SystemdUnits::enable(std::vector<std::string> units) {
    std::vector<Argument> arguments;
    arguments.push_back({"as", units});
    arguments.push_back({"b", false}); // for every boot, not this one alone
    arguments.push_back({"b", false});
    auto done = co_await tell(bus_, "EnableUnitFiles", std::move(arguments));
    if (!done) co_return done;
    // As systemctl does: the new links are dependencies that the manager does not know yet.
    std::vector<Argument> none;
    done = co_await tell(bus_, "Reload", std::move(none));
    if (!done) co_return done;
    for (const auto& unit : units) {
        std::vector<Argument> start;
        start.push_back({"s", unit});
        start.push_back({"s", "replace"});
        done = co_await tell(bus_, "StartUnit", std::move(start));
        if (!done) co_return done;
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> SystemdUnits::disable(std::vector<std::string> units) {
    std::vector<Argument> arguments;
    arguments.push_back({"as", units});
    arguments.push_back({"b", false});
    auto done = co_await tell(bus_, "DisableUnitFiles", std::move(arguments));
    if (!done) co_return done;
    for (const auto& unit : units) {
        std::vector<Argument> stop;
        stop.push_back({"s", unit});
        stop.push_back({"s", "replace"});
        const auto stopped = co_await ask(bus_, "StopUnit", std::move(stop));
        if (stopped.is_error() && stopped.error_name() != "org.freedesktop.systemd1.NoSuchUnit")
            co_return std::unexpected(stopped.to_error());
    }
    co_return Result<void>();
}

} // namespace p2prc::daemon
