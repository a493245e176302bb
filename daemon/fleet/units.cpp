#include "daemon/fleet/units.h"

#include "dbus/bus.h"
#include "dbus/codec.h"
#include "dbus/systemd_names.h"
#include "net/event.h"

#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <map>

namespace p2prc::daemon {

namespace asio = boost::asio;
using Json = nlohmann::json;

namespace {

namespace systemd = dbus::systemd;

// A reload of all units takes its time on a machine that is busy booting.
constexpr auto timeout = std::chrono::seconds(90);

struct Argument {
    std::string type;
    Json value;
};

// What became of jobs, by their paths.
struct Jobs {
    explicit Jobs(const asio::any_io_executor& executor) : changed(executor) {}
    std::map<std::string, std::string> results;
    net::Event changed;
};

asio::awaitable<dbus::Message> ask(dbus::Bus& bus, std::string member, std::vector<Argument> arguments) {
    auto message = bus.new_call(systemd::service, systemd::path, systemd::manager_interface, member);
    if (!message) co_return dbus::Message();
    for (const auto& [type, value] : arguments)
        if (const auto written = dbus::write_value(*message, type, value, {.exact = true}); !written)
            co_return dbus::Message();
    co_return co_await bus.exchange(*message, timeout);
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
    if (name == "org.freedesktop.DBus.Error.FileNotFound" || name == systemd::no_such_unit) co_return false;
    co_return std::unexpected(reply.to_error());
}

asio::awaitable<Result<void>> SystemdUnits::start(std::vector<std::string> units) {
    for (const auto& unit : units)
        if (auto done = co_await start_one(unit); !done) co_return done;
    co_return Result<void>();
}

asio::awaitable<bool> SystemdUnits::active(std::string unit) {
    std::vector<Argument> arguments;
    arguments.push_back({"s", unit});
    const auto reply = co_await ask(bus_, "GetUnit", std::move(arguments));
    const char* path = nullptr;
    if (!reply || reply.is_error() || sd_bus_message_read(reply.get(), "o", &path) <= 0) co_return false;
    auto question = bus_.new_call(systemd::service, path, systemd::properties_interface, "Get");
    if (!question) co_return false;
    sd_bus_message_append(question->get(), "ss", systemd::unit_interface, "ActiveState");
    const auto answer = co_await bus_.exchange(*question, timeout);
    const char* state = nullptr;
    if (!answer || answer.is_error() || sd_bus_message_read(answer.get(), "v", "s", &state) <= 0)
        co_return false;
    const std::string_view now = state;
    co_return now == "active" || now == "activating" || now == "reloading";
}

// StartUnit answers when the job is queued; what becomes of it is told by JobRemoved.
asio::awaitable<Result<void>> SystemdUnits::start_one(std::string unit) {
    const auto jobs = std::make_shared<Jobs>(bus_.executor());
    const auto rule = "type='signal',sender='" + std::string(systemd::service) + "',interface='" +
                      systemd::manager_interface + "',member='JobRemoved'";
    const auto watched = bus_.match(rule, [jobs](const dbus::Message& signal) {
        const char *path = nullptr, *result = nullptr;
        if (sd_bus_message_read(signal.get(), "uoss", nullptr, &path, nullptr, &result) <= 0) return;
        jobs->results[path] = result;
        jobs->changed.set();
    });
    if (!watched) co_return std::unexpected(watched.error());
    std::vector<Argument> arguments;
    arguments.push_back({"s", unit});
    arguments.push_back({"s", "replace"});
    const auto reply = co_await ask(bus_, "StartUnit", std::move(arguments));
    const auto hint = "see systemctl status " + unit + "; journalctl -u " + unit;
    if (!reply) co_return fail(ErrorCode::Failed, "cannot ask systemd to start " + unit);
    if (reply.is_error())
        co_return fail(ErrorCode::Failed, unit + " does not start: " + reply.to_error().message, hint);
    const char* job = nullptr;
    if (sd_bus_message_read(reply.get(), "o", &job) <= 0)
        co_return fail(ErrorCode::Failed, "systemd's answer to StartUnit cannot be read");
    const std::string wanted = job;
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (!jobs->results.contains(wanted)) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) co_return fail(ErrorCode::Failed, unit + " is not up yet", hint);
        co_await jobs->changed.wait(left);
    }
    const auto result = jobs->results[wanted];
    if (result != "done")
        co_return fail(ErrorCode::Failed, unit + " does not start (systemd says: " + result + ")", hint);
    // A job that was skipped for a condition of the unit is "done", too.
    if (!co_await active(unit)) co_return fail(ErrorCode::Failed, unit + " does not run", hint);
    co_return Result<void>();
}

asio::awaitable<Result<void>> SystemdUnits::stop(std::vector<std::string> units) {
    for (const auto& unit : units) {
        std::vector<Argument> arguments;
        arguments.push_back({"s", unit});
        arguments.push_back({"s", "replace"});
        const auto stopped = co_await ask(bus_, "StopUnit", std::move(arguments));
        if (stopped.is_error() && stopped.error_name() != systemd::no_such_unit)
            co_return std::unexpected(stopped.to_error());
    }
    co_return Result<void>();
}

} // namespace p2prc::daemon
