#include "net/spawn.h"
#include "process/systemd_bus_impl.h"
#include "process/unit_names.h"

#include <boost/asio/co_spawn.hpp>
#include <systemd/sd-bus.h>

namespace p2prc::process {

namespace asio = boost::asio;

namespace {

// sd_bus_path_encode of "p2prc-": units of others are told apart without decoding their paths.
const std::string our_path_prefix = std::string(systemd::unit_prefix) + "/p2prc_2d";

} // namespace

void SystemdBus::Impl::on_properties(const dbus::Message& message) {
    const auto path = message.path();
    for (auto* news : news_)
        news->tell_of(path);
    if (!path.starts_with(our_path_prefix)) return;
    const char* interface = nullptr;
    if (sd_bus_message_read(message.get(), "s", &interface) <= 0) return;
    const std::string_view name = interface;
    if (name != systemd::unit_interface && name != systemd::service_interface) return;
    const auto unit = dbus::path_decode(systemd::unit_prefix, path);
    if (process_of_unit(unit).empty()) return;
    for (auto* listing : listings_) {
        listing->changed.insert(unit);
        listing->removed.erase(unit);
    }
    auto& view = views_[unit];
    view.unit = unit;
    if (!read_unit_properties(message.get(), view)) return;
    // The service's own properties come first; together with the unit's state they are complete.
    if (name == systemd::unit_interface && events.changed) events.changed(UnitView(view));
}

void SystemdBus::Impl::on_unit_removed(const dbus::Message& message) {
    const char* unit = nullptr;
    if (sd_bus_message_read(message.get(), "so", &unit, nullptr) <= 0) return;
    const std::string name = unit;
    for (auto* news : news_)
        news->tell(name);
    const auto view = views_.find(name);
    // systemd also says so of every unit when it reloads or executes itself anew; what runs is not removed,
    // and the resync that follows settles the rest.
    if (view == views_.end() || !view->second.dead()) return;
    views_.erase(view);
    for (auto* listing : listings_) {
        listing->changed.erase(name); // reading it would load an empty unit of its name
        listing->removed.insert(name);
    }
    if (!own_.contains(name)) drop_ins_.remove(name);
    if (events.gone) events.gone(name);
}

void SystemdBus::Impl::on_job_new(const dbus::Message& message) {
    const char* unit = nullptr;
    if (sd_bus_message_read(message.get(), "uos", nullptr, nullptr, &unit) <= 0) return;
    const std::string name = unit;
    if (own_.contains(name) || process_of_unit(name).empty()) return;
    if (events.outside_job) events.outside_job(name, true);
}

void SystemdBus::Impl::on_job_removed(const dbus::Message& message) {
    const char *path = nullptr, *unit = nullptr, *result = nullptr;
    if (sd_bus_message_read(message.get(), "uoss", nullptr, &path, &unit, &result) <= 0) return;
    const std::string name = unit;
    for (auto* news : news_)
        news->tell(name);
    if (!own_.contains(name) && !process_of_unit(name).empty() && events.outside_job)
        events.outside_job(name, false);
    const auto [first, last] = waits_.equal_range(path);
    for (auto wait = first; wait != last; ++wait) {
        wait->second->result = result;
        wait->second->timer.cancel();
    }
    if (own_.contains(name)) finished_[path] = result; // for who begins to wait only now
}

void SystemdBus::Impl::on_reloading(const dbus::Message& message) {
    int active = 0;
    if (sd_bus_message_read(message.get(), "b", &active) <= 0 || active) return;
    asio::co_spawn(bus_.executor(), resync(), net::ReportFailure("reading the units of systemd anew"));
}

void SystemdBus::Impl::on_owner(const std::string& owner) {
    for (const auto& [path, wait] : waits_) {
        wait->result = "manager-gone";
        wait->timer.cancel();
    }
    if (!owner.empty())
        asio::co_spawn(bus_.executor(), resync(), net::ReportFailure("reading the units of systemd anew"));
}

} // namespace p2prc::process
