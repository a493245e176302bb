#include "daemon/fleet/roles.h"

#include "daemon/fleet/units.h"
#include "net/file.h"

namespace p2prc::daemon {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr const char* note = "p2prcd has enabled this role; its units start only if this file exists.\n";

Result<void> make_directory(const fs::path& directory) {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return std::unexpected(system_error("cannot make " + directory.string(), error.value()));
    return {};
}

} // namespace

std::vector<std::string> units_of(MachineRole role) {
    if (role == MachineRole::Connector) return {"p2prc-connector.service"};
    return {"p2prc-edge.socket", "p2prc-edge.service"};
}

fs::path Roles::file(MachineRole role) const {
    return directory_ / role_name(role);
}

bool Roles::kept() const {
    std::error_code ignored;
    return fs::exists(directory_, ignored);
}

Result<void> Roles::keep(std::span<const MachineRole> on) const {
    // The directory last: what was begun and not finished is begun again.
    const auto beside = directory_.parent_path() / (directory_.filename().string() + ".new");
    if (const auto made = make_directory(beside); !made) return made;
    for (const auto role : on)
        if (const auto written = net::write_file_atomically(beside / file(role).filename(), note); !written)
            return written;
    std::error_code error;
    fs::rename(beside, directory_, error);
    if (error) return std::unexpected(system_error("cannot make " + directory_.string(), error.value()));
    return {};
}

bool Roles::on(MachineRole role) const {
    std::error_code ignored;
    return fs::exists(file(role), ignored);
}

asio::awaitable<Result<void>> Roles::turn_on(MachineRole role) const {
    if (!units_) co_return Result<void>();
    if (const auto made = make_directory(directory_); !made) co_return made;
    if (const auto written = net::write_file_atomically(file(role), note); !written) co_return written;
    auto units = units_of(role);
    co_return co_await units_->start(std::move(units));
}

asio::awaitable<Result<void>> Roles::turn_off(MachineRole role) const {
    if (!units_) co_return Result<void>();
    if (const auto removed = net::remove_file(file(role)); !removed) co_return removed;
    auto units = units_of(role);
    co_return co_await units_->stop(std::move(units));
}

} // namespace p2prc::daemon
