#include "process/systemd_bus_impl.h"
#include "process/unit_names.h"

#include <systemd/sd-bus.h>

#include <utility>

namespace p2prc::process {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

constexpr int listing_rounds = 20; // of a unit that changes all the time the last state read will do

} // namespace

// Reading a unit that is not loaded loads an empty one of its name, which shows as neither transient nor
// ours, and is removed again at once.
awaitable<Result<FoundUnit>> SystemdBus::Impl::read_unit(std::string unit) {
    FoundUnit found;
    found.view.unit = unit;
    found.view.active_state = "inactive";
    const auto path = dbus::path_encode(systemd::unit_prefix, unit);
    for (const auto* interface : {systemd::service_interface, systemd::unit_interface}) {
        auto message = bus_.new_call(systemd::service, path, systemd::properties_interface, "GetAll");
        if (!message) co_return std::unexpected(message.error());
        sd_bus_message_append(message->get(), "s", interface);
        const auto reply = co_await bus_.exchange(*message);
        if (reply.error_name() == systemd::no_such_unit ||
            reply.error_name() == "org.freedesktop.DBus.Error.UnknownObject")
            break;
        if (reply.is_error()) co_return std::unexpected(reply.to_error());
        if (const auto read = read_unit_properties(reply.get(), found.view, &found.origin); !read)
            co_return std::unexpected(read.error());
    }
    co_return found;
}

awaitable<Result<UnitView>> SystemdBus::Impl::view_of(std::string unit) {
    const auto self = shared_from_this();
    auto found = co_await read_unit(std::move(unit));
    if (!found) co_return std::unexpected(found.error());
    co_return std::move(found->view);
}

awaitable<Result<std::vector<UnitView>>> SystemdBus::Impl::units() {
    const auto self = shared_from_this();
    Listing listing(*this);
    auto left_behind = drop_ins_.units();
    auto message =
        bus_.new_call(systemd::service, systemd::path, systemd::manager_interface, "ListUnitsByPatterns");
    if (!message) co_return std::unexpected(message.error());
    sd_bus_message_append(message->get(), "asas", 0, 1, "p2prc-*.service");
    const auto reply = co_await bus_.exchange(*message);
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    std::set<std::string> listed;
    int result = sd_bus_message_enter_container(reply.get(), 'a', "(ssssssouso)");
    const char *unit = nullptr, *load = nullptr;
    while (result >= 0 &&
           (result = sd_bus_message_read(reply.get(), "(ssssssouso)", &unit, nullptr, &load, nullptr, nullptr,
                                         nullptr, nullptr, nullptr, nullptr, nullptr)) > 0)
        if (std::string_view(load) != "not-found" && !process_of_unit(unit).empty()) {
            listed.insert(unit);
            left_behind.erase(unit);
        }
    if (result < 0) co_return std::unexpected(dbus::bus_error("cannot read systemd's list of units", result));
    // What has come or changed meanwhile is read again, so that the list is true when it is returned: the
    // signals have been and will not come again.
    std::map<std::string, UnitView> found;
    listed.merge(listing.changed);
    for (int round = 0; !listed.empty() && round < listing_rounds; ++round) {
        for (const auto& name : listed) {
            listing.changed.erase(name);
            listing.removed.erase(name);
            // It may have ended since it was listed.
            auto now = co_await read_unit(name);
            if (!now) co_return std::unexpected(now.error());
            found.erase(name);
            if (now->ours()) found.emplace(name, std::move(now->view));
        }
        for (const auto& name : std::exchange(listing.removed, {}))
            found.erase(name);
        listed = std::exchange(listing.changed, {});
    }
    // Of what ended while nobody listened.
    for (const auto& name : left_behind)
        if (!found.contains(name) && !own_.contains(name)) drop_ins_.remove(name);
    views_ = found;
    std::vector<UnitView> views;
    for (auto& [name, view] : found)
        views.push_back(std::move(view));
    co_return views;
}

} // namespace p2prc::process
