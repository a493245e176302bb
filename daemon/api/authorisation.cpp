#include "daemon/api/authorisation.h"

#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <cstdio>
#include <memory>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr std::string_view prefix = "org.p2prc1.";

constexpr std::array rights{
    MethodRight{"Manager", "SpinProcess", Right::Polkit, "spin"},
    MethodRight{"Manager", "SpinProcessWithOptions", Right::Polkit, "spin"},
    MethodRight{"Manager", "StartProcess", Right::Polkit, "spin"},
    MethodRight{"Manager", "StartProcessWithOptions", Right::Polkit, "spin"},
    MethodRight{"Manager", "KillProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "StopProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "RestartProcess", Right::Polkit, "kill"},
    MethodRight{"Manager", "RestartProcessWithOptions", Right::Polkit, "kill"},
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

std::string UserNames::of(uid_t uid) {
    struct stat now{};
    if (::stat(file_.c_str(), &now) != 0) return std::to_string(uid);
    if (now.st_ino != inode_ || now.st_mtim.tv_sec != changed_.tv_sec ||
        now.st_mtim.tv_nsec != changed_.tv_nsec) {
        names_.clear();
        const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(file_.c_str(), "re"), &std::fclose);
        // The first line of a number counts, as for getpwuid(3).
        while (const passwd* entry = file ? fgetpwent(file.get()) : nullptr)
            names_.emplace(entry->pw_uid, entry->pw_name);
        inode_ = now.st_ino;
        changed_ = now.st_mtim;
    }
    const auto found = names_.find(uid);
    return found == names_.end() ? std::to_string(uid) : found->second;
}

Authorisation::Authorisation(dbus::Bus& bus, HelperUsers users)
    : bus_(&bus)
    , users_(std::move(users))
    , polkit_(bus) {}

asio::awaitable<Result<Caller>> Authorisation::identify(dbus::Message call) {
    const MethodRight* row = find_right(call.interface(), call.member());
    if (!row) co_return fail(ErrorCode::NotPermitted, call.member() + " is open to nobody");
    Caller caller;
    caller.sender = call.sender();
    const auto uid = co_await bus_->sender_uid(caller.sender);
    if (!uid) co_return std::unexpected(uid.error());
    caller.uid = *uid;
    caller.user = names_.of(*uid);
    Result<void> allowed;
    if (row->right == Right::Edge) allowed = refuse_user(caller.user, users_.edge);
    if (row->right == Right::Connector) allowed = refuse_user(caller.user, users_.connector);
    if (!allowed) co_return std::unexpected(allowed.error());
    if (row->right == Right::Polkit && caller.uid != 0)
        caller.must_ask = std::string(prefix) + std::string(row->action);
    co_return caller;
}

asio::awaitable<Result<void>> Authorisation::permit(dbus::Message call, Caller caller) {
    if (caller.must_ask.empty()) co_return Result<void>{};
    co_return co_await polkit_.ask(std::move(call), caller.uid, caller.must_ask);
}

} // namespace p2prc::daemon
