#include "process/drop_ins.h"

#include "net/file.h"
#include "process/unit_names.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>

namespace p2prc::process {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view file_name = "p2prc-command.conf";

} // namespace

std::string DropIns::read(const std::string& unit) const {
    if (!check_unit_name(unit)) return {};
    std::ifstream file(root_ / (unit + ".d") / file_name);
    return {std::istreambuf_iterator<char>(file), {}};
}

Result<void> DropIns::write(const std::string& unit, const std::string& text) const {
    if (text.empty()) return {};
    if (const auto named = check_unit_name(unit); !named) return named;
    const auto directory = root_ / (unit + ".d");
    std::error_code error;
    fs::create_directories(directory, error);
    // Readable, as everything about a unit is, whatever our umask.
    if (!error) fs::permissions(directory, fs::perms(0755), error);
    if (error)
        return std::unexpected(
            system_error(fmt::format("cannot make {}", directory.string()), error.value()));
    return net::write_file_atomically(directory / file_name, text, 0644);
}

// The directory stays where an administrator has put something of their own into it.
void DropIns::remove(const std::string& unit) const {
    if (!check_unit_name(unit)) return;
    const auto directory = root_ / (unit + ".d");
    std::error_code ignored;
    fs::remove(directory / file_name, ignored);
    fs::remove(directory, ignored);
}

std::set<std::string> DropIns::units() const {
    constexpr std::string_view suffix = ".d";
    const auto transient = root_.parent_path() / "transient"; // of transient units
    std::set<std::string> units;
    std::error_code error;
    for (fs::directory_iterator entry(root_, error), end; !error && entry != end; entry.increment(error)) {
        auto unit = entry->path().filename().string();
        if (!unit.ends_with(suffix)) continue;
        unit.resize(unit.size() - suffix.size());
        std::error_code ignored;
        if (!check_unit_name(unit) || !fs::exists(entry->path() / file_name, ignored)) continue;
        if (!fs::exists(transient / unit, ignored)) units.insert(std::move(unit));
    }
    return units;
}

} // namespace p2prc::process
