#include "daemon/process/data_directories.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <system_error>

namespace p2prc::daemon {

namespace fs = std::filesystem;

namespace {

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

Result<void> checked(std::string what, const std::error_code& error) {
    if (error) return std::unexpected(system_error(std::move(what), error.value()));
    return {};
}

} // namespace

DataDirectories::DataDirectories(fs::path root, fs::path private_root, fs::path owners)
    : root_(std::move(root))
    , private_root_(std::move(private_root))
    , owners_(std::move(owners)) {}

std::uint32_t DataDirectories::owner(std::string_view name) const {
    std::ifstream file(owners_ / name);
    std::uint32_t id = 0;
    file >> id;
    return file ? id : 0;
}

Result<void> DataDirectories::set_owner(std::string_view name, std::uint32_t id) const {
    std::error_code error;
    fs::create_directories(owners_, error);
    if (error) return checked(fmt::format("cannot make {}", owners_.string()), error);
    const auto path = owners_ / name;
    const auto draft = owners_ / fmt::format(".{}.new", name);
    {
        std::ofstream file(draft, std::ios::trunc);
        file << id << '\n';
        file.close();
        if (!file)
            return fail(ErrorCode::Failed, fmt::format("cannot write {}", draft.string()),
                        "is the disk full?");
    }
    fs::rename(draft, path, error);
    return checked(fmt::format("cannot write {}", path.string()), error);
}

Result<std::string> DataDirectories::prepare(std::string_view name, std::uint32_t id,
                                             const std::vector<std::uint32_t>& former) const {
    const auto here = root_ / name;
    const auto hidden = private_root_ / name;
    const auto holder = owner(name);
    std::string moved;
    const bool mine = holder == id || std::ranges::count(former, holder) > 0;
    if (!mine && (is_there(here) || is_there(hidden))) {
        const std::string base = fmt::format("{}.{}", name, holder);
        std::string aside = base;
        for (int n = 2; is_there(root_ / aside) || is_there(private_root_ / aside); ++n)
            aside = fmt::format("{}-{}", base, n);
        std::error_code error;
        if (is_there(hidden)) {
            fs::rename(hidden, private_root_ / aside, error);
            if (error)
                return std::unexpected(
                    system_error(fmt::format("cannot move {} aside", hidden.string()), error.value()));
        }
        if (fs::is_symlink(here, error)) {
            // systemd's link to the private directory, relative as systemd makes it.
            const auto target = fs::read_symlink(here, error).parent_path() / aside;
            fs::remove(here, error);
            if (!error) fs::create_symlink(target, root_ / aside, error);
        } else if (is_there(here)) {
            fs::rename(here, root_ / aside, error);
        }
        if (error)
            return std::unexpected(
                system_error(fmt::format("cannot move {} aside", here.string()), error.value()));
        moved = (root_ / aside).string();
    }
    if (holder != id)
        if (const auto noted = set_owner(name, id); !noted) return std::unexpected(noted.error());
    return moved;
}

} // namespace p2prc::daemon
