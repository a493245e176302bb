#include "daemon/api/authorisation.h"

#include <pwd.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

std::string action_of(const Permission& permission) {
    return "org.p2prc1." + std::string(permission.action);
}

Result<void> refuse_user(const std::string& user, const std::string& wanted) {
    if (user == wanted) return {};
    return fail(ErrorCode::NotPermitted, "only the user " + wanted + " may use this interface");
}

} // namespace

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

asio::awaitable<Result<Caller>> Authorisation::identify(dbus::Message call, Permission permission) {
    Caller caller;
    caller.sender = call.sender();
    const auto uid = co_await bus_->sender_uid(caller.sender);
    if (!uid) co_return std::unexpected(uid.error());
    caller.uid = *uid;
    caller.user = names_.of(*uid);
    Result<void> allowed;
    if (permission.right == Right::Edge) allowed = refuse_user(caller.user, users_.edge);
    if (permission.right == Right::Connector) allowed = refuse_user(caller.user, users_.connector);
    if (!allowed) co_return std::unexpected(allowed.error());
    co_return caller;
}

asio::awaitable<Result<void>> Authorisation::permit(dbus::Message call, Caller caller, Permission permission,
                                                    PolkitDetails details) {
    if (permission.right != Right::Polkit || caller.uid == 0) co_return Result<void>{};
    PolkitQuestion question{action_of(permission), std::move(details)};
    co_return co_await polkit_.ask(std::move(call), caller.uid, std::move(question));
}

asio::awaitable<bool> Authorisation::allows(dbus::Message call, Caller caller, Permission permission,
                                            PolkitDetails details) {
    if (permission.right != Right::Polkit || caller.uid == 0) co_return true;
    PolkitQuestion question{action_of(permission), std::move(details), false};
    const auto answer = co_await polkit_.ask(std::move(call), caller.uid, std::move(question));
    co_return answer.has_value();
}

} // namespace p2prc::daemon
