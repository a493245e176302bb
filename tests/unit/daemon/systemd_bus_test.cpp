#include "daemon/process/systemd_bus.h"
#include "tests/unit/support/private_bus.h"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <systemd/sd-bus.h>

#include <map>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;

const std::string manager_path = "/org/freedesktop/systemd1";
const std::string unit_interface = "org.freedesktop.systemd1.Unit";

std::string path_of(const std::string& unit) {
    return dbus::path_encode(manager_path + "/unit", unit);
}

// As much of systemd's manager as listing its units takes.
class SystemdBusTest : public testing::Test {
  protected:
    void SetUp() override {
        manager = bus.connect();
        own = bus.connect();
        dbus::Interface interface{"org.freedesktop.systemd1.Manager"};
        interface.methods.push_back({"Subscribe", {}, {}, [](dbus::Message call) { return empty(call); }});
        interface.methods.push_back({"ListUnitsByPatterns",
                                     {{"as", "states"}, {"as", "patterns"}},
                                     {{"a(ssssssouso)", "units"}},
                                     [this](dbus::Message call) { return list(call); }});
        objects.push_back(manager->add_object(manager_path, interface).value());
        for (const auto& [unit, state] : states)
            add(unit);
        ASSERT_TRUE(bus.run(manager->request_name("org.freedesktop.systemd1")));
    }

    static asio::awaitable<Result<dbus::Message>> empty(dbus::Message call) { co_return call.new_reply(); }
    asio::awaitable<Result<dbus::Message>> list(dbus::Message call) {
        auto reply = call.new_reply();
        sd_bus_message_open_container(reply->get(), 'a', "(ssssssouso)");
        for (const auto& [unit, state] : states)
            sd_bus_message_append(reply->get(), "(ssssssouso)", unit.c_str(), "", "loaded", state.c_str(), "",
                                  "", path_of(unit).c_str(), 0, "", "/");
        sd_bus_message_close_container(reply->get());
        co_return reply;
    }

    void add(const std::string& unit) {
        dbus::Interface common{unit_interface};
        common.properties = {text("ActiveState", [this, unit] { return states[unit]; }),
                             {"Transient", "b", dbus::Emits::Nothing,
                              [](const std::string&, const dbus::Message& reply) -> Result<void> {
                                  sd_bus_message_append(reply.get(), "b", 1);
                                  return {};
                              }}};
        dbus::Interface service{"org.freedesktop.systemd1.Service"};
        service.properties = {text("Slice",
                                   [this, unit] {
                                       if (on_read) asio::post(bus.io, [this, unit] { on_read(unit); });
                                       return std::string("p2prc.slice");
                                   }),
                              {"LogExtraFields", "aay", dbus::Emits::Nothing,
                               [](const std::string&, const dbus::Message& reply) -> Result<void> {
                                   const std::string field = "FLEET_PROCESS=7";
                                   sd_bus_message_open_container(reply.get(), 'a', "ay");
                                   sd_bus_message_append_array(reply.get(), 'y', field.data(), field.size());
                                   sd_bus_message_close_container(reply.get());
                                   return {};
                               }}};
        objects.push_back(manager->add_object(path_of(unit), common).value());
        objects.push_back(manager->add_object(path_of(unit), service).value());
    }
    static dbus::Property text(const char* name, std::function<std::string()> value) {
        return {name, "s", dbus::Emits::Change,
                [value](const std::string&, const dbus::Message& reply) -> Result<void> {
                    sd_bus_message_append(reply.get(), "s", value().c_str());
                    return {};
                }};
    }
    void become(const std::string& unit, const std::string& state) {
        states[unit] = state;
        EXPECT_TRUE(manager->emit_properties_changed(path_of(unit), unit_interface, {"ActiveState"}));
    }

    test::PrivateBus bus;
    std::map<std::string, std::string> states{{"p2prc-mail.service", "active"},
                                              {"p2prc-web.service", "active"}};
    std::function<void(const std::string& unit)> on_read;
    std::unique_ptr<dbus::Bus> manager, own;
    std::vector<dbus::Registration> objects;
};

TEST_F(SystemdBusTest, AListIsTrueWhenItIsReturned) {
    SystemdBus systemd(*own);
    ASSERT_TRUE(bus.run(systemd.connect()));
    // While the second is read, the first ends and a third begins.
    on_read = [this, done = false](const std::string& unit) mutable {
        if (unit != "p2prc-web.service" || std::exchange(done, true)) return;
        become("p2prc-mail.service", "failed");
        states["p2prc-wiki.service"] = "activating";
        add("p2prc-wiki.service");
        become("p2prc-wiki.service", "active");
    };
    const auto units = bus.run(systemd.units());
    ASSERT_TRUE(units) << units.error().message;
    std::map<std::string, std::string> found;
    for (const auto& view : *units) {
        found[view.unit] = view.active_state;
        EXPECT_EQ(view.process, 7U);
    }
    EXPECT_EQ(found, states);
    EXPECT_EQ(found.size(), 3U);
}

} // namespace
} // namespace p2prc::daemon
