#include "daemon/process/drop_ins.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

namespace p2prc::daemon {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view file_name = "p2prc-command.conf";

} // namespace

std::string DropIns::read(const std::string& unit) const {
    std::ifstream file(root_ / (unit + ".d") / file_name);
    return {std::istreambuf_iterator<char>(file), {}};
}

Result<void> DropIns::write(const std::string& unit, const std::string& text) const {
    if (text.empty()) return {};
    const auto directory = root_ / (unit + ".d");
    std::error_code error;
    fs::create_directories(directory, error);
    // Readable, as everything about a unit is, whatever our umask.
    const auto readable =
        fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read | fs::perms::others_read;
    const auto enterable = readable | fs::perms::owner_exec | fs::perms::group_exec | fs::perms::others_exec;
    if (!error) fs::permissions(directory, enterable, error);
    const auto path = directory / file_name;
    if (!error) {
        std::ofstream file(path, std::ios::trunc);
        file << text;
        file.close();
        if (!file) error = std::make_error_code(std::errc::io_error);
    }
    if (!error) fs::permissions(path, readable, error);
    if (error)
        return std::unexpected(system_error(fmt::format("cannot write {}", path.string()), error.value()));
    return {};
}

// The directory stays where an administrator has put something of their own into it.
void DropIns::remove(const std::string& unit) const {
    const auto directory = root_ / (unit + ".d");
    std::error_code ignored;
    fs::remove(directory / file_name, ignored);
    fs::remove(directory, ignored);
}

} // namespace p2prc::daemon
