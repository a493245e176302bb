#include "process/systemd_bus.h"

#include "net/clock.h"
#include "net/log.h"
#include "process/systemd_bus_impl.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <systemd/sd-bus.h>

#include <algorithm>

namespace p2prc::process {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

constexpr auto first_resync_pause = 500ms;
constexpr auto longest_resync_pause = 10s;

} // namespace

Result<void> SystemdBus::Impl::add_match(const std::string& rule,
                                         void (Impl::*handler)(const dbus::Message&)) {
    const auto weak = weak_from_this();
    auto match = bus_.match(fmt::format("type='signal',sender='{}',{}", systemd::service, rule),
                            [weak, handler](const dbus::Message& m) {
                                if (const auto self = weak.lock()) (self.get()->*handler)(m);
                            });
    if (!match) return std::unexpected(match.error());
    matches_.push_back(std::move(*match));
    return {};
}

awaitable<Result<void>> SystemdBus::Impl::connect() {
    const std::string from_manager =
        fmt::format("path='{}',interface='{}',member='", systemd::path, systemd::manager_interface);
    // One match for the properties of all units: a match each would meet the bus's limit of 512.
    auto done = add_match(fmt::format("interface='{}',member='PropertiesChanged',path_namespace='{}'",
                                      systemd::properties_interface, systemd::unit_prefix),
                          &Impl::on_properties);
    if (done) done = add_match(from_manager + "UnitRemoved'", &Impl::on_unit_removed);
    if (done) done = add_match(from_manager + "JobNew'", &Impl::on_job_new);
    if (done) done = add_match(from_manager + "JobRemoved'", &Impl::on_job_removed);
    if (done) done = add_match(from_manager + "Reloading'", &Impl::on_reloading);
    if (!done) co_return done;
    const auto weak = weak_from_this();
    auto watch = bus_.watch_name(systemd::service, [weak](const std::string& owner) {
        if (const auto self = weak.lock()) self->on_owner(owner);
    });
    if (!watch) co_return std::unexpected(watch.error());
    matches_.push_back(std::move(*watch));
    co_return co_await subscribe();
}

// systemd sends no signals at all before somebody has subscribed, and forgets it when it loses the bus.
awaitable<Result<void>> SystemdBus::Impl::subscribe() {
    const std::vector<std::string> arguments;
    const auto reply = co_await call("Subscribe", arguments);
    if (reply.is_error() && reply.error_name() != systemd::already_subscribed) {
        auto error = reply.to_error();
        error.message = "cannot subscribe to systemd's signals: " + error.message;
        co_return std::unexpected(error);
    }
    co_return Result<void>{};
}

awaitable<dbus::Message> SystemdBus::Impl::call(const char* member, std::vector<std::string> texts) {
    auto message = bus_.new_call(systemd::service, systemd::path, systemd::manager_interface, member);
    if (!message) co_return dbus::Message();
    for (const auto& text : texts)
        sd_bus_message_append(message->get(), "s", text.c_str());
    co_return co_await bus_.exchange(*message);
}

// What systemd runs must be known: without it processes would be judged by what it ran once. One that was
// asked for later takes over.
awaitable<void> SystemdBus::Impl::resync() {
    const auto self = shared_from_this();
    const auto asked = ++resyncs_;
    std::chrono::milliseconds pause = first_resync_pause;
    while (true) {
        auto done = co_await subscribe();
        if (asked != resyncs_ || closed) co_return;
        if (done) {
            const auto all = co_await units();
            if (asked != resyncs_ || closed) co_return;
            if (all && events.resynced) events.resynced(*all);
            if (all) co_return;
            done = std::unexpected(all.error());
        }
        // While it executes itself anew the manager answers badly, or not at all.
        if (pause > first_resync_pause)
            net::log_warning(fmt::format("systemd does not say what it runs, and is asked again in {} s: {}",
                                         std::chrono::duration_cast<std::chrono::seconds>(pause).count(),
                                         done.error().message));
        asio::steady_timer timer(bus_.executor(), pause);
        boost::system::error_code ignored;
        co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        if (asked != resyncs_ || closed) co_return;
        pause = std::min<std::chrono::milliseconds>(2 * pause, longest_resync_pause);
    }
}

awaitable<Result<std::string>> SystemdBus::Impl::text_property(const char* name) {
    const auto self = shared_from_this();
    auto message = bus_.new_call(systemd::service, systemd::path, systemd::properties_interface, "Get");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", systemd::manager_interface, name);
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    const char* text = nullptr;
    const int read = sd_bus_message_read(reply.get(), "v", "s", &text);
    if (read <= 0)
        co_return std::unexpected(dbus::bus_error(fmt::format("cannot read systemd's {}", name), read));
    co_return std::string(text);
}

awaitable<Result<std::string>> SystemdBus::Impl::boot() {
    const auto self = shared_from_this();
    auto message = bus_.new_call(systemd::service, systemd::path, systemd::properties_interface, "Get");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "ss", systemd::manager_interface, "UserspaceTimestampMonotonic");
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    std::uint64_t since = 0;
    const int read = sd_bus_message_read(reply.get(), "v", "t", &since);
    if (read <= 0) co_return std::unexpected(dbus::bus_error("cannot read when systemd began", read));
    co_return fmt::format("{}-{}", net::boot_id(), since);
}

SystemdBus::SystemdBus(dbus::Bus& bus, fs::path drop_ins, std::chrono::milliseconds timeout)
    : impl_(std::make_shared<Impl>(bus, std::move(drop_ins), timeout)) {}
SystemdBus::~SystemdBus() {
    impl_->events = {};
    impl_->closed = true;
}

awaitable<Result<void>> SystemdBus::connect() {
    return impl_->connect();
}
awaitable<Result<std::string>> SystemdBus::boot_identity() {
    return impl_->boot();
}
void SystemdBus::on_events(SystemdEvents events) {
    impl_->events = std::move(events);
}
awaitable<Result<std::vector<UnitView>>> SystemdBus::units() {
    return impl_->units();
}
awaitable<Result<std::string>> SystemdBus::start_transient(std::string unit, TransientUnit content,
                                                           JobShare share) {
    return impl_->start(std::move(unit), std::move(content), std::move(share));
}
awaitable<Result<std::string>> SystemdBus::stop(std::string unit, JobShare share) {
    return impl_->stop(std::move(unit), std::move(share));
}
awaitable<Result<void>> SystemdBus::set_properties(std::string unit, std::vector<UnitProperty> properties) {
    return impl_->set_properties(std::move(unit), std::move(properties));
}
awaitable<Result<void>> SystemdBus::freeze(std::string unit) {
    return impl_->freeze(std::move(unit), true);
}
awaitable<Result<void>> SystemdBus::thaw(std::string unit) {
    return impl_->freeze(std::move(unit), false);
}
awaitable<Result<void>> SystemdBus::reset_failed(std::string unit) {
    return impl_->reset_failed(std::move(unit));
}
awaitable<Result<UnitView>> SystemdBus::view_of(std::string unit) {
    return impl_->view_of(std::move(unit));
}
awaitable<Result<std::string>> SystemdBus::system_state() {
    return impl_->text_property("SystemState");
}
awaitable<Result<std::string>> SystemdBus::features() {
    return impl_->text_property("Features");
}

} // namespace p2prc::process
