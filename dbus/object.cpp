#include "dbus/object.h"

#include "core/callback.h"
#include "dbus/bus.h"
#include "dbus/codec.h"
#include "dbus/connection.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <utility>

namespace p2prc::dbus {

namespace asio = boost::asio;

namespace {

// One registered interface, with the C table that sd-bus reads. sd-bus copies nothing: all of it lives as
// long as the slot.
struct Exported : std::enable_shared_from_this<Exported> {
    ~Exported() { sd_bus_slot_unref(slot); }

    std::shared_ptr<detail::Connection> connection;
    Interface interface;
    std::function<bool(const std::string&)> exists; // empty: one object
    std::function<std::vector<std::string>()> enumerate;
    std::vector<sd_bus_vtable> table;
    std::deque<std::string> strings;
    sd_bus_slot* slot = nullptr;

    const char* keep(std::string text) { return strings.emplace_back(std::move(text)).c_str(); }
};

int set_error(sd_bus_error* target, const Error& error) {
    const std::string name = std::string(error_dbus_prefix) + std::string(error_info(error.code).name);
    return sd_bus_error_set(target, name.c_str(), error_text(error).c_str());
}

// No call stays without an answer, unless its caller does not read: callers wait long, or for ever. `reply`
// may be what cannot be sent, such as one beyond the sizes of a message; then the caller hears that.
void answer(const Exported& exported, const std::string& method, const Message& call, Result<Message> reply) {
    if (!sd_bus_message_get_expect_reply(call.get())) return;
    if (reply) {
        const auto sent = exported.connection->send_answer(call, *reply);
        if (sent) return;
        reply =
            fail(ErrorCode::Failed, "the answer to " + method + " cannot be sent: " + sent.error().message);
    }
    const auto error = call.new_error(reply.error());
    if (error && exported.connection->send_answer(call, *error)) return;
    // Nobody is left to tell when this fails too: the caller's connection or ours is gone.
    constexpr sd_bus_error plain =
        SD_BUS_ERROR_MAKE_CONST("org.p2prc1.Error.Failed", "p2prcd cannot say what the answer is");
    sd_bus_reply_method_error(call.get(), &plain);
    exported.connection->kick();
}

asio::awaitable<void> run_method(std::shared_ptr<Exported> exported, const Method* method, Message call) {
    Result<Message> reply = fail(ErrorCode::Failed, "no reply");
    try {
        reply = co_await method->handler(call);
    } catch (const std::exception& exception) {
        reply = fail(ErrorCode::Failed, method->name + " failed inside: " + exception.what(),
                     "this is a bug; the daemon's log may say more");
    } catch (...) {
        reply = fail(ErrorCode::Failed, method->name + " failed inside", "this is a bug");
    }
    answer(*exported, method->name, call, std::move(reply));
}

int on_method(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    return guard_callback("a call from the message bus", -ENOMEM, [&] {
        const auto exported = static_cast<Exported*>(userdata)->shared_from_this();
        const char* member = sd_bus_message_get_member(message);
        const auto& methods = exported->interface.methods;
        const auto method = std::find_if(methods.begin(), methods.end(), [member](const Method& candidate) {
            return candidate.name == member;
        });
        if (method == methods.end()) return 0;
        exported->connection->answered_later();
        asio::co_spawn(exported->connection->executor(),
                       run_method(exported, &*method, Message::share(message)), asio::detached);
        return 1;
    });
}

const Property* find_property(const Exported& exported, const char* name) {
    for (const Property& property : exported.interface.properties)
        if (property.name == name) return &property;
    return nullptr;
}

Result<void> broken_property(const Property& property) {
    return fail(ErrorCode::Failed, property.name + " failed inside",
                "this is a bug; the daemon's log may say more");
}

int on_get(sd_bus*, const char* path, const char*, const char* name, sd_bus_message* reply, void* userdata,
           sd_bus_error* error) noexcept {
    const auto exported = static_cast<Exported*>(userdata)->shared_from_this();
    const Property* property = find_property(*exported, name);
    if (!property) return -ENOENT;
    // One property that cannot be told must not take the others along: sd-bus gives up GetAll, the list of
    // all objects and PropertiesChanged for it. An object that is not there is another matter.
    const Message message = Message::share(reply);
    Result<void> result = guard_callback("reading a property", broken_property(*property),
                                         [&] { return property->get(path, message); });
    if (!result && result.error().code != ErrorCode::NotFound && write_nothing(message, property->type))
        result = {};
    if (result &&
        !exported->connection->add_property(path, property->name, property->type, message.grow(1, 0)))
        result = std::unexpected(too_large());
    if (!exported->connection->has_room())
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "there are too many answers that are not read; ask again later");
    return result ? 1 : set_error(error, result.error());
}

int on_set(sd_bus*, const char* path, const char*, const char* name, sd_bus_message* value, void* userdata,
           sd_bus_error* error) noexcept {
    const auto exported = static_cast<Exported*>(userdata)->shared_from_this();
    const Property* property = find_property(*exported, name);
    if (!property || !property->set) return -ENOENT;
    const Result<void> result = guard_callback("setting a property", broken_property(*property),
                                               [&] { return property->set(path, Message::share(value)); });
    if (!result) return set_error(error, result.error());
    exported->connection->kick(); // sd-bus queues PropertiesChanged itself
    return 1;
}

int on_find(sd_bus*, const char* path, const char*, void* userdata, void** found, sd_bus_error*) noexcept {
    const auto* exported = static_cast<Exported*>(userdata);
    const int exists =
        guard_callback("looking an object up", -EIO, [&] { return exported->exists(path) ? 1 : 0; });
    if (exists > 0) *found = userdata;
    return exists;
}

int on_enumerate(sd_bus*, const char*, void* userdata, char*** nodes, sd_bus_error* error) noexcept {
    const std::vector<std::string> paths = guard_callback("listing objects", std::vector<std::string>(), [&] {
        const auto* exported = static_cast<Exported*>(userdata);
        auto listed = exported->enumerate();
        for (const std::string& path : listed)
            exported->connection->add_listed(path);
        return listed;
    });
    if (!static_cast<Exported*>(userdata)->connection->has_room())
        return sd_bus_error_set(error, SD_BUS_ERROR_LIMITS_EXCEEDED,
                                "there are too many answers that are not read; ask again later");
    // sd-bus frees the list and its texts with free(3).
    char** list = static_cast<char**>(std::calloc(paths.size() + 1, sizeof(char*)));
    if (!list) return -ENOMEM;
    for (std::size_t i = 0; i < paths.size(); ++i)
        list[i] = strdup(paths[i].c_str());
    *nodes = list;
    return 0;
}

sd_bus_vtable entry(std::uint8_t type, std::uint64_t flags) {
    sd_bus_vtable row;
    std::memset(&row, 0, sizeof row);
    row.type = type;
    row.flags = flags & 0xffffffffffffffU; // 56 bits
    return row;
}

std::string types_of(const std::vector<Argument>& arguments) {
    std::string types;
    for (const Argument& argument : arguments)
        types += argument.type;
    return types;
}

// Each name with a NUL behind it, the last with two.
std::string names_of(const std::vector<Argument>& in, const std::vector<Argument>& out = {}) {
    std::string names;
    for (const auto* list : {&in, &out})
        for (const Argument& argument : *list)
            (names += argument.name) += '\0';
    return names;
}

void build_table(Exported& exported) {
    sd_bus_vtable start = entry(_SD_BUS_VTABLE_START, 0);
    start.x.start.element_size = sizeof(sd_bus_vtable);
    start.x.start.features = _SD_BUS_VTABLE_PARAM_NAMES;
    start.x.start.vtable_format_reference = &sd_bus_object_vtable_format;
    exported.table.push_back(start);
    for (const Method& method : exported.interface.methods) {
        sd_bus_vtable row = entry(_SD_BUS_VTABLE_METHOD, SD_BUS_VTABLE_UNPRIVILEGED);
        row.x.method.member = method.name.c_str();
        row.x.method.signature = exported.keep(types_of(method.in));
        row.x.method.result = exported.keep(types_of(method.out));
        row.x.method.names = exported.keep(names_of(method.in, method.out));
        row.x.method.handler = &on_method;
        exported.table.push_back(row);
    }
    for (const Property& property : exported.interface.properties) {
        std::uint64_t flags = 0;
        if (property.emits == Emits::Constant) flags = SD_BUS_VTABLE_PROPERTY_CONST;
        if (property.emits == Emits::Change) flags = SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE;
        sd_bus_vtable row =
            entry(property.set ? _SD_BUS_VTABLE_WRITABLE_PROPERTY : _SD_BUS_VTABLE_PROPERTY, flags);
        row.x.property.member = property.name.c_str();
        row.x.property.signature = property.type.c_str();
        row.x.property.get = &on_get;
        row.x.property.set = property.set ? &on_set : nullptr;
        exported.table.push_back(row);
    }
    for (const Signal& signal : exported.interface.signals) {
        sd_bus_vtable row = entry(_SD_BUS_VTABLE_SIGNAL, 0);
        row.x.signal.member = signal.name.c_str();
        row.x.signal.signature = exported.keep(types_of(signal.arguments));
        row.x.signal.names = exported.keep(names_of(signal.arguments));
        exported.table.push_back(row);
    }
    exported.table.push_back(entry(_SD_BUS_VTABLE_END, 0));
}

} // namespace

Result<Registration> Bus::add_object(const std::string& path, Interface interface) {
    auto exported = std::make_shared<Exported>();
    exported->connection = connection_;
    exported->interface = std::move(interface);
    if (auto limited = connection_->limit_unread(); !limited) return std::unexpected(limited.error());
    build_table(*exported);
    const int r =
        sd_bus_add_object_vtable(get(), &exported->slot, path.c_str(), exported->interface.name.c_str(),
                                 exported->table.data(), exported.get());
    if (r < 0)
        return std::unexpected(bus_error("registering " + exported->interface.name + " at " + path, r));
    return exported;
}

Result<Registration> Bus::add_objects(const std::string& prefix, Interface interface,
                                      std::function<bool(const std::string& path)> exists) {
    auto exported = std::make_shared<Exported>();
    exported->connection = connection_;
    exported->interface = std::move(interface);
    exported->exists = std::move(exists);
    if (auto limited = connection_->limit_unread(); !limited) return std::unexpected(limited.error());
    build_table(*exported);
    const int r =
        sd_bus_add_fallback_vtable(get(), &exported->slot, prefix.c_str(), exported->interface.name.c_str(),
                                   exported->table.data(), &on_find, exported.get());
    if (r < 0)
        return std::unexpected(bus_error("registering " + exported->interface.name + " below " + prefix, r));
    return exported;
}

Result<Registration> Bus::add_enumerator(const std::string& prefix,
                                         std::function<std::vector<std::string>()> paths) {
    auto exported = std::make_shared<Exported>();
    exported->connection = connection_;
    exported->enumerate = std::move(paths);
    const int r =
        sd_bus_add_node_enumerator(get(), &exported->slot, prefix.c_str(), &on_enumerate, exported.get());
    if (r < 0) return std::unexpected(bus_error("registering the objects below " + prefix, r));
    return exported;
}

Result<Registration> Bus::add_object_manager(const std::string& path) {
    auto exported = std::make_shared<Exported>();
    exported->connection = connection_;
    const int r = sd_bus_add_object_manager(get(), &exported->slot, path.c_str());
    if (r < 0) return std::unexpected(bus_error("registering an object manager at " + path, r));
    return exported;
}

std::string path_encode(const std::string& prefix, const std::string& id) {
    char* path = nullptr;
    if (sd_bus_path_encode(prefix.c_str(), id.c_str(), &path) < 0) return {};
    std::string result(path);
    std::free(path);
    return result;
}

std::string path_decode(const std::string& prefix, const std::string& path) {
    char* id = nullptr;
    if (sd_bus_path_decode(path.c_str(), prefix.c_str(), &id) <= 0) return {};
    std::string result(id);
    std::free(id);
    return result;
}

} // namespace p2prc::dbus
