#include "dbus/codec.h"
#include "process/systemd_bus_impl.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <csignal>

namespace p2prc::process {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

// What systemd says of a job whose time is over (job_result_to_string()), and we of one that it lost.
constexpr const char* job_timed_out = "timeout";

// How long a unit that has ended may hold its name until systemd has removed it.
constexpr auto removal_timeout = 10s;

Result<void> append_properties(const dbus::Message& message, const std::vector<UnitProperty>& properties) {
    const auto checked = [](int result) -> Result<void> {
        if (result < 0)
            return std::unexpected(dbus::bus_error("cannot write the properties of a unit", result));
        return {};
    };
    if (const auto plain = check_properties(properties); !plain) return plain;
    auto* call = message.get();
    for (const auto& [name, signature, value] : properties) {
        int result = sd_bus_message_open_container(call, 'r', "sv");
        if (result >= 0) result = sd_bus_message_append(call, "s", name.c_str());
        if (result >= 0) result = sd_bus_message_open_container(call, 'v', signature.c_str());
        if (result < 0) return checked(result);
        if (auto done = dbus::write_value(message, signature, value, {.exact = true}); !done) {
            done.error().message = name + " of the unit: " + done.error().message;
            return done;
        }
        result = sd_bus_message_close_container(call);
        if (result >= 0) result = sd_bus_message_close_container(call);
        if (result < 0) return checked(result);
    }
    return {};
}

Result<void> append_content(const dbus::Message& message, const TransientUnit& content) {
    auto* call = message.get();
    int result = sd_bus_message_open_container(call, 'a', "(sv)");
    if (result >= 0)
        if (const auto appended = append_properties(message, content.properties); !appended) return appended;
    if (result >= 0 && content.input)
        result =
            sd_bus_message_append(call, "(sv)", "StandardInputFileDescriptor", "h", content.input->get());
    if (result >= 0 && content.output)
        result =
            sd_bus_message_append(call, "(sv)", "StandardOutputFileDescriptor", "h", content.output->get());
    // Where nothing is said of it, systemd has its errors go where its output goes: exec_context of systemd
    // 252.
    if (result >= 0 && content.output)
        result = sd_bus_message_append(call, "(sv)", "StandardError", "s", "journal");
    if (result >= 0) result = sd_bus_message_close_container(call);
    if (result >= 0) result = sd_bus_message_append(call, "a(sa(sv))", 0); // no auxiliary units
    if (result < 0) return std::unexpected(dbus::bus_error("cannot write the properties of a unit", result));
    return {};
}

} // namespace

awaitable<Result<dbus::Message>> SystemdBus::Impl::send_start(std::string unit,
                                                              const TransientUnit& content) {
    auto message =
        bus_.new_call(systemd::service, systemd::path, systemd::manager_interface, "StartTransientUnit");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", unit.c_str(), "fail");
    if (const auto written = append_content(*message, content); !written)
        co_return std::unexpected(written.error());
    co_return co_await bus_.exchange(*message);
}

awaitable<Result<std::string>> SystemdBus::Impl::wait_job(dbus::Message reply,
                                                          std::chrono::milliseconds limit) {
    const char* path = nullptr;
    const int read = sd_bus_message_read(reply.get(), "o", &path);
    if (read <= 0) co_return std::unexpected(dbus::bus_error("cannot read the path of systemd's job", read));
    const std::string job = path;
    if (const auto done = finished_.find(job); done != finished_.end()) co_return done->second;
    // systemd answers with the job that it has already where the same is asked for twice.
    const auto wait = std::make_shared<JobWait>(bus_.executor(), limit);
    const auto entry = waits_.emplace(job, wait);
    boost::system::error_code ignored;
    co_await wait->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    waits_.erase(entry);
    if (wait->result.empty()) co_return std::string(job_timed_out);
    if (wait->result == "manager-gone")
        co_return fail(ErrorCode::Unreachable, "systemd left the bus during a job");
    co_return wait->result;
}

// Of a unit that remains after it has ended.
awaitable<Result<std::string>> SystemdBus::Impl::wait_run(std::string unit, News& news,
                                                          std::chrono::seconds limit) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    for (;;) {
        const auto found = co_await read_unit(unit);
        if (!found) co_return std::unexpected(found.error());
        const auto& view = found->view;
        if (view.active_state == "inactive") co_return std::string("canceled");
        if (view.active_state == "failed") co_return std::string("failed");
        if (view.sub_state == "exited") {
            // It takes two calls to read a unit: the exit data may be from before its end.
            const auto ended = co_await read_unit(unit);
            if (!ended) co_return std::unexpected(ended.error());
            const auto& result = ended->view.result;
            co_return std::string(result.code == CLD_EXITED && result.status == 0 ? "done" : "failed");
        }
        if (std::chrono::steady_clock::now() >= deadline) co_return std::string(job_timed_out);
        co_await news.wait(deadline);
    }
}

awaitable<Result<std::string>> SystemdBus::Impl::start(std::string unit, TransientUnit content,
                                                       JobShare share) {
    const auto self = shared_from_this();
    const auto slot = co_await slots_.starts(share.kind).acquire(share.maker);
    if (const auto named = check_unit_name(unit); !named) co_return std::unexpected(named.error());
    const OwnJob own(*this, unit);
    const auto former = drop_ins_.read(unit);
    if (const auto written = drop_ins_.write(unit, content.drop_in); !written)
        co_return std::unexpected(written.error());
    bool accepted = false;
    const auto done = co_await start_written(unit, content, accepted);
    if (accepted) {
        // It came and went: nobody else removes the drop-in of a unit that is busy with a job of ours. One
        // whose job got lost may run, and needs it at the next reload; so does one that is to be stopped.
        if (done && !views_.contains(unit) && !content.run_limit) drop_ins_.remove(unit);
        co_return done;
    }
    if (done.error().code == ErrorCode::Unreachable) co_return done; // perhaps it was accepted
    // What has the name keeps its own command; a name that nothing has, none.
    drop_ins_.remove(unit);
    if (done.error().code == ErrorCode::Conflict)
        if (const auto restored = drop_ins_.write(unit, former); !restored)
            co_return std::unexpected(restored.error());
    co_return done;
}

awaitable<Result<std::string>> SystemdBus::Impl::start_written(std::string unit, const TransientUnit& content,
                                                               bool& accepted) {
    News news(*this, unit);
    const auto deadline = std::chrono::steady_clock::now() + removal_timeout;
    for (;;) {
        const auto reply = co_await send_start(unit, content);
        if (!reply) co_return std::unexpected(reply.error());
        if (!reply->is_error()) {
            accepted = true;
            // Its first signals may be here already; they bring everything but the marks. Of p2prcd's own
            // units nothing is told.
            if (!process_of_unit(unit).empty()) {
                auto& view = views_[unit];
                view.unit = unit;
                apply_properties(content.properties, view);
            }
            auto started = co_await wait_job(*reply, timeout_);
            if (!content.run_limit || !started || *started != "done") co_return started;
            co_return co_await wait_run(unit, news, *content.run_limit);
        }
        if (reply->error_name() != systemd::unit_exists) co_return std::unexpected(reply->to_error());
        const auto holder = co_await read_unit(unit);
        if (!holder) co_return std::unexpected(holder.error());
        const auto& state = holder->view.active_state;
        const bool ends = holder->view.dead() || state == "deactivating";
        if (!ends || std::chrono::steady_clock::now() >= deadline) {
            if (holder->ours()) {
                views_[unit] = holder->view;
                if (events.changed) events.changed(UnitView(holder->view));
            }
            co_return fail(ErrorCode::Conflict,
                           fmt::format("systemd has a unit {} already, which is {}{}", unit, state,
                                       holder->ours() ? "" : " and was not made by p2prc"),
                           fmt::format("see systemctl status {}", unit));
        }
        // A failed unit keeps its name until somebody says that its failure has been seen; one that has ended
        // otherwise, until systemd comes round to removing it.
        if (state == "failed") {
            if (const auto reset = co_await reset_failed(unit); !reset)
                co_return std::unexpected(reset.error());
        } else {
            co_await news.wait(deadline);
        }
    }
}

// Whatever the process has had systemd believe, such as EXTEND_TIMEOUT_USEC=, its time is over.
awaitable<Result<std::string>> SystemdBus::Impl::stop(std::string unit, JobShare share) {
    const auto self = shared_from_this();
    const auto slot = co_await slots_.stops(share.kind).acquire(share.maker);
    const OwnJob own(*this, unit);
    auto stopped = co_await stop_job(unit);
    if (stopped && *stopped == job_timed_out) {
        if (const auto killed = co_await kill(unit); !killed) co_return std::unexpected(killed.error());
        stopped = co_await stop_job(unit);
    }
    // systemd may have removed it before it said that the job is over.
    if (stopped && !views_.contains(unit)) drop_ins_.remove(unit);
    co_return stopped;
}

awaitable<Result<void>> SystemdBus::Impl::kill(std::string unit) {
    auto message = bus_.new_call(systemd::service, systemd::path, systemd::manager_interface, "KillUnit");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ssi", unit.c_str(), "all", SIGKILL);
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error() && reply.error_name() != systemd::no_such_unit)
        co_return std::unexpected(reply.to_error());
    co_return Result<void>{};
}

awaitable<Result<std::string>> SystemdBus::Impl::stop_job(std::string unit) {
    const std::vector<std::string> arguments{unit, "replace"};
    const auto reply = co_await call("StopUnit", arguments);
    if (reply.error_name() == systemd::no_such_unit) co_return std::string("done");
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    co_return co_await wait_job(reply, timeout_);
}

awaitable<Result<void>> SystemdBus::Impl::set_properties(std::string unit,
                                                         std::vector<UnitProperty> properties) {
    const auto self = shared_from_this();
    auto message =
        bus_.new_call(systemd::service, systemd::path, systemd::manager_interface, "SetUnitProperties");
    if (!message) co_return std::unexpected(message.error());
    // Not persistent: of a transient unit, they go with it.
    sd_bus_message_append(message->get(), "sb", unit.c_str(), 1);
    sd_bus_message_open_container(message->get(), 'a', "(sv)");
    if (const auto written = append_properties(*message, properties); !written)
        co_return std::unexpected(written.error());
    sd_bus_message_close_container(message->get());
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    co_return Result<void>{};
}

// Units one by one: below a slice that is frozen, a start does not end before that is thawed.
awaitable<Result<void>> SystemdBus::Impl::freeze(std::string unit, bool frozen) {
    const auto self = shared_from_this();
    const std::vector<std::string> arguments{unit};
    const auto reply = co_await call(frozen ? "FreezeUnit" : "ThawUnit", arguments);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    if (const auto known = views_.find(unit); known != views_.end()) known->second.frozen = frozen;
    co_return Result<void>{};
}

awaitable<Result<void>> SystemdBus::Impl::reset_failed(std::string unit) {
    const auto self = shared_from_this();
    const std::vector<std::string> arguments{unit};
    const auto reply = co_await call("ResetFailedUnit", arguments);
    if (reply.is_error() && reply.error_name() != systemd::no_such_unit)
        co_return std::unexpected(reply.to_error());
    co_return Result<void>{};
}

} // namespace p2prc::process
