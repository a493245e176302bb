#include "daemon/api/authorisation.h"

#include <pwd.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <vector>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::string_view prefix = "org.p2prc1.";
// A person may have to find a password.
constexpr auto polkit_patience = std::chrono::minutes(5);

constexpr std::array rights{
    MethodRight{"Manager", "SpinProcess", Right::Polkit, "spin"},
    MethodRight{"Manager", "StartProcess", Right::Polkit, "spin"},
    MethodRight{"Manager", "KillProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "StopProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "RestartProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "ProcessInformation", Right::Open},
    MethodRight{"Manager", "ListProcess", Right::Open},
    MethodRight{"Manager", "Logs", Right::Polkit, "read-logs"},
    MethodRight{"Manager", "MapDomain", Right::Polkit, "map-domain"},
    MethodRight{"Manager", "UnmapDomain", Right::Polkit, "map-domain"},
    MethodRight{"Manager", "ListDomains", Right::Open},
    MethodRight{"Manager", "ListNodes", Right::Open},
    MethodRight{"Manager", "RemoveNode", Right::Polkit, "manage-fleet"},
    MethodRight{"Manager", "Init", Right::Polkit, "manage-fleet"},
    MethodRight{"Manager", "Invite", Right::Polkit, "manage-fleet"},
    MethodRight{"Manager", "Join", Right::Polkit, "manage-fleet"},
    MethodRight{"Manager", "Leave", Right::Polkit, "manage-fleet"},
    MethodRight{"Manager", "FleetCertificate", Right::Open},
    MethodRight{"Manager", "Status", Right::Open},
    MethodRight{"Manager", "Facts", Right::Open},
    MethodRight{"Manager", "ListZones", Right::Open},
    MethodRight{"Manager", "ListRecords", Right::Open},
    MethodRight{"Process", "Start", Right::Polkit, "spin"},
    MethodRight{"Process", "Stop", Right::Polkit, "kill"},
    MethodRight{"Process", "Restart", Right::Polkit, "kill"},
    MethodRight{"Process", "Kill", Right::Polkit, "kill"},
    MethodRight{"Node", "Remove", Right::Polkit, "manage-fleet"},
    MethodRight{"Domain", "Unmap", Right::Polkit, "map-domain"},
    MethodRight{"Edge", "RegisterKey", Right::Edge},
    MethodRight{"Edge", "GetRoutes", Right::Edge},
    MethodRight{"Edge", "ReportStatus", Right::Edge},
    MethodRight{"Connector", "RegisterKey", Right::Connector},
    MethodRight{"Connector", "GetMappings", Right::Connector},
    MethodRight{"Connector", "PublishChallenge", Right::Connector},
    MethodRight{"Connector", "RemoveChallenge", Right::Connector},
    MethodRight{"Connector", "IssueCertificate", Right::Connector},
    MethodRight{"Connector", "SignCertificate", Right::Connector},
    MethodRight{"Connector", "ReportCertificate", Right::Connector},
    MethodRight{"Connector", "ReportServing", Right::Connector},
    MethodRight{"Connector", "ReportStatus", Right::Connector},
};

std::string user_name(uid_t uid) {
    std::vector<char> buffer(4096);
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found) return found->pw_name;
    return std::to_string(uid);
}

Result<void> refuse_user(const std::string& user, const std::string& wanted) {
    if (user == wanted) return {};
    return fail(ErrorCode::NotPermitted, "only the user " + wanted + " may use this interface");
}

} // namespace

std::span<const MethodRight> method_rights() noexcept {
    return rights;
}

const MethodRight* find_right(std::string_view interface, std::string_view member) noexcept {
    if (!interface.starts_with(prefix)) return nullptr;
    interface.remove_prefix(prefix.size());
    for (const MethodRight& row : rights)
        if (row.interface == interface && row.member == member) return &row;
    return nullptr;
}

Authorisation::Authorisation(dbus::Bus& bus, HelperUsers users) : bus_(&bus), users_(std::move(users)) {}

asio::awaitable<Result<Caller>> Authorisation::check(dbus::Message call) {
    const MethodRight* row = find_right(call.interface(), call.member());
    if (!row) co_return fail(ErrorCode::NotPermitted, call.member() + " is open to nobody");
    Caller caller;
    caller.sender = call.sender();
    const auto uid = co_await bus_->sender_uid(caller.sender);
    if (!uid) co_return std::unexpected(uid.error());
    caller.uid = *uid;
    caller.user = user_name(*uid);
    Result<void> allowed;
    switch (row->right) {
    case Right::Open:
        break;
    case Right::Edge:
        allowed = refuse_user(caller.user, users_.edge);
        break;
    case Right::Connector:
        allowed = refuse_user(caller.user, users_.connector);
        break;
    case Right::Polkit:
        if (caller.uid != 0) {
            const std::string action(row->action);
            allowed = co_await ask_polkit(call, action);
        }
        break;
    }
    if (!allowed) co_return std::unexpected(allowed.error());
    co_return caller;
}

// The subject is the connection, never a process id, which another process may have by now.
asio::awaitable<Result<void>> Authorisation::ask_polkit(dbus::Message call, std::string action) {
    const std::string id = std::string(prefix) + action;
    const Error refused{ErrorCode::NotPermitted, "you may not do this (" + id + ")", "use sudo"};
    auto question = bus_->new_call("org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority",
                                   "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    if (!question) co_return std::unexpected(question.error());
    const std::uint32_t interactive =
        sd_bus_message_get_allow_interactive_authorization(call.get()) > 0 ? 1 : 0;
    const std::string sender = call.sender();
    const int r = sd_bus_message_append(question->get(), "(sa{sv})sa{ss}us", "system-bus-name", 1, "name",
                                        "s", sender.c_str(), id.c_str(), 0, interactive, "");
    if (r < 0) co_return std::unexpected(dbus::bus_error("asking polkit", r));
    dbus::Message answer = co_await bus_->exchange(*question, polkit_patience);
    if (!answer || answer.is_error()) co_return std::unexpected(refused); // no polkit: root alone
    int authorised = 0;
    if (sd_bus_message_enter_container(answer.get(), 'r', "bba{ss}") <= 0 ||
        sd_bus_message_read(answer.get(), "b", &authorised) <= 0 || !authorised)
        co_return std::unexpected(refused);
    co_return Result<void>{};
}

} // namespace p2prc::daemon
