#include "dbus/bus.h"

#include "core/callback.h"
#include "dbus/call.h"
#include "dbus/connection.h"

#include <fcntl.h>
#include <systemd/sd-bus.h>

#include <utility>

namespace p2prc::dbus {

namespace asio = boost::asio;

namespace {

constexpr const char* bus_name = "org.freedesktop.DBus";
constexpr const char* bus_path = "/org/freedesktop/DBus";
constexpr std::size_t known_uids = 512;

struct Match : std::enable_shared_from_this<Match> {
    ~Match() { sd_bus_slot_unref(slot); }
    MatchHandler handler;
    sd_bus_slot* slot = nullptr;
};

int on_match(sd_bus_message* message, void* userdata, sd_bus_error*) noexcept {
    const auto match = static_cast<Match*>(userdata)->shared_from_this(); // the handler may drop it
    return guard_callback("handling a signal of the message bus", 0, [&] {
        match->handler(Message::share(message));
        return 0;
    });
}

Result<std::shared_ptr<detail::Connection>> connect(asio::any_io_executor executor, sd_bus* bus, int r) {
    if (r < 0) {
        sd_bus_unref(bus);
        Error error = bus_error("connecting to the message bus", r);
        error.hint = "is dbus running?";
        return std::unexpected(error);
    }
    const int fd = fcntl(sd_bus_get_fd(bus), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) {
        const int saved = errno;
        sd_bus_close_unref(bus);
        return std::unexpected(system_error("duplicating the message bus's descriptor", saved));
    }
    auto connection = std::make_shared<detail::Connection>(std::move(executor), bus, fd);
    connection->kick();
    return connection;
}

Result<void> check(const std::shared_ptr<detail::Connection>& connection, const char* what, int r) {
    if (r < 0) return std::unexpected(bus_error(what, r));
    connection->kick();
    return {};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (const std::string& text : texts)
        result.push_back(const_cast<char*>(text.c_str()));
    result.push_back(nullptr);
    return result;
}

} // namespace

Bus::Bus(std::shared_ptr<detail::Connection> connection) : connection_(std::move(connection)) {}

Bus::~Bus() {
    connection_->close();
}

Result<std::unique_ptr<Bus>> Bus::open_system(asio::any_io_executor executor) {
    sd_bus* bus = nullptr;
    const int r = sd_bus_open_system(&bus);
    auto connection = connect(std::move(executor), bus, r);
    if (!connection) return std::unexpected(connection.error());
    return std::unique_ptr<Bus>(new Bus(std::move(*connection)));
}

Result<std::unique_ptr<Bus>> Bus::open_address(asio::any_io_executor executor, const std::string& address) {
    sd_bus* bus = nullptr;
    int r = sd_bus_new(&bus);
    if (r >= 0) r = sd_bus_set_address(bus, address.c_str());
    if (r >= 0) r = sd_bus_set_bus_client(bus, 1);
    if (r >= 0) r = sd_bus_start(bus);
    auto connection = connect(std::move(executor), bus, r);
    if (!connection) return std::unexpected(connection.error());
    return std::unique_ptr<Bus>(new Bus(std::move(*connection)));
}

asio::any_io_executor Bus::executor() const {
    return connection_->executor();
}
sd_bus* Bus::get() const noexcept {
    return connection_->bus();
}
void Bus::kick() {
    connection_->kick();
}
bool Bus::connected() const noexcept {
    return connection_->connected();
}

void Bus::on_disconnect(std::function<void(const Error&)> handler) {
    connection_->on_disconnect = std::move(handler);
}

void Bus::end_when_stuck(std::chrono::milliseconds after) {
    connection_->end_when_stuck(after);
}

Result<Message> Bus::new_call(const std::string& destination, const std::string& path,
                              const std::string& interface, const std::string& member) const {
    sd_bus_message* message = nullptr;
    const int r = sd_bus_message_new_method_call(get(), &message, destination.c_str(), path.c_str(),
                                                 interface.c_str(), member.c_str());
    if (r < 0) return std::unexpected(bus_error("making the call " + interface + "." + member, r));
    return Message::adopt(message);
}

Result<Message> Bus::new_signal(const std::string& path, const std::string& interface,
                                const std::string& member) const {
    sd_bus_message* message = nullptr;
    const int r = sd_bus_message_new_signal(get(), &message, path.c_str(), interface.c_str(), member.c_str());
    if (r < 0) return std::unexpected(bus_error("making the signal " + interface + "." + member, r));
    return Message::adopt(message);
}

asio::awaitable<Message> Bus::exchange(Message call, std::chrono::microseconds timeout) {
    const std::uint64_t microseconds =
        timeout == no_timeout ? UINT64_MAX : static_cast<std::uint64_t>(timeout.count());
    return detail::exchange(connection_, std::move(call), microseconds);
}

asio::awaitable<Result<Message>> Bus::call(Message call, std::chrono::microseconds timeout) {
    Message reply = co_await exchange(std::move(call), timeout);
    if (!reply) co_return fail(ErrorCode::Failed, "the message bus gave no reply");
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    co_return reply;
}

Result<void> Bus::send(const Message& message) {
    return connection_->send(message);
}

Result<void> Bus::send_to(const Message& message, const std::string& destination) {
    const int r = sd_bus_message_set_destination(message.get(), destination.c_str());
    if (r < 0) return std::unexpected(bus_error("addressing a message to " + destination, r));
    return connection_->send(message);
}

Result<Registration> Bus::match(const std::string& rule, MatchHandler handler) {
    auto match = std::make_shared<Match>();
    match->handler = std::move(handler);
    const int r = sd_bus_add_match_async(get(), &match->slot, rule.c_str(), &on_match, nullptr, match.get());
    if (r < 0) return std::unexpected(bus_error("adding the match " + rule, r));
    kick();
    return match;
}

Result<Registration> Bus::watch_name(const std::string& name,
                                     std::function<void(const std::string& owner)> handler) {
    const std::string rule = "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                             "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" +
                             name + "'";
    return match(rule, [handler = std::move(handler)](const Message& message) {
        const char* owner = nullptr;
        if (sd_bus_message_read(message.get(), "sss", nullptr, nullptr, &owner) > 0) handler(owner);
    });
}

asio::awaitable<Result<std::string>> Bus::name_owner(std::string name) {
    auto call_message = new_call(bus_name, bus_path, bus_name, "GetNameOwner");
    if (!call_message) co_return std::unexpected(call_message.error());
    sd_bus_message_append(call_message->get(), "s", name.c_str());
    Message reply = co_await exchange(*call_message);
    if (reply.error_name() == "org.freedesktop.DBus.Error.NameHasNoOwner") co_return std::string();
    if (reply.is_error()) co_return std::unexpected(reply.to_error());
    const char* owner = nullptr;
    const int r = sd_bus_message_read(reply.get(), "s", &owner);
    if (r <= 0) co_return std::unexpected(bus_error("reading the owner of " + name, r));
    co_return std::string(owner);
}

asio::awaitable<Result<void>> Bus::request_name(std::string name) {
    auto call_message = new_call(bus_name, bus_path, bus_name, "RequestName");
    if (!call_message) co_return std::unexpected(call_message.error());
    constexpr std::uint32_t do_not_queue = 4; // D-Bus specification, RequestName
    sd_bus_message_append(call_message->get(), "su", name.c_str(), do_not_queue);
    auto reply = co_await call(*call_message);
    if (!reply) co_return std::unexpected(reply.error());
    std::uint32_t outcome = 0;
    const int r = sd_bus_message_read(reply->get(), "u", &outcome);
    if (r <= 0) co_return std::unexpected(bus_error("reading the answer about the name " + name, r));
    constexpr std::uint32_t primary_owner = 1;
    constexpr std::uint32_t already_owner = 4;
    if (outcome != primary_owner && outcome != already_owner)
        co_return fail(ErrorCode::Conflict, "the bus name " + name + " belongs to another program",
                       "busctl status " + name + " shows which");
    co_return Result<void>{};
}

asio::awaitable<Result<uid_t>> Bus::sender_uid(std::string sender) {
    if (const auto known = connection_->uids.find(sender); known != connection_->uids.end())
        co_return known->second;
    auto call_message = new_call(bus_name, bus_path, bus_name, "GetConnectionUnixUser");
    if (!call_message) co_return std::unexpected(call_message.error());
    sd_bus_message_append(call_message->get(), "s", sender.c_str());
    auto reply = co_await call(*call_message);
    if (!reply) co_return std::unexpected(reply.error());
    std::uint32_t uid = 0;
    const int r = sd_bus_message_read(reply->get(), "u", &uid);
    if (r <= 0) co_return std::unexpected(bus_error("reading the user of " + sender, r));
    if (connection_->uids.size() >= known_uids) connection_->uids.clear();
    connection_->uids.emplace(std::move(sender), uid);
    co_return static_cast<uid_t>(uid);
}

Result<void> Bus::emit_properties_changed(const std::string& path, const std::string& interface,
                                          const std::vector<std::string>& names) {
    std::vector<char*> list = pointers(names);
    connection_->begin_properties();
    return check(connection_, "announcing changed properties",
                 sd_bus_emit_properties_changed_strv(get(), path.c_str(), interface.c_str(), list.data()));
}

Result<void> Bus::emit_object_added(const std::string& path) {
    connection_->begin_properties();
    return check(connection_, "announcing an object", sd_bus_emit_object_added(get(), path.c_str()));
}

Result<void> Bus::emit_object_removed(const std::string& path, const std::vector<std::string>& interfaces) {
    std::vector<std::string> all{"org.freedesktop.DBus.Peer", "org.freedesktop.DBus.Introspectable",
                                 "org.freedesktop.DBus.Properties"};
    all.insert(all.end(), interfaces.begin(), interfaces.end());
    std::vector<char*> list = pointers(all);
    return check(connection_, "announcing that an object went",
                 sd_bus_emit_interfaces_removed_strv(get(), path.c_str(), list.data()));
}

} // namespace p2prc::dbus
