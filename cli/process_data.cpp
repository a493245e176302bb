#include "cli/process_data.h"

#include "cli/daemon.h"
#include "cli/output.h"
#include "core/counted.h"
#include "core/data_paths.h"
#include "core/json_members.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace p2prc::cli {
namespace {

namespace fs = std::filesystem;

// Directories of dynamic users are open to root alone: what is in one cannot be seen by everybody.
enum class Contents { None, Some, NotKnown };

Contents contents_of(const fs::path& path) {
    std::error_code error;
    if (fs::symlink_status(path, error).type() == fs::file_type::not_found) return Contents::None;
    const bool empty = fs::is_empty(path, error);
    return error ? Contents::NotKnown : empty ? Contents::None : Contents::Some;
}

} // namespace

std::vector<std::string> web_addresses(const Json& process, const std::string& asked) {
    auto domains = process.value("domains", std::vector<std::string>{});
    std::ranges::stable_partition(domains, [&](const auto& domain) { return domain == asked; });
    for (auto& domain : domains)
        domain.insert(0, "https://");
    return domains;
}

std::string removed_unheard_words(const std::string& name, const std::string& node) {
    return fmt::format(
        "'{0}' is removed; {1} does not answer: it may still run there, and is ended when {1} is back", name,
        node);
}

std::string stop_unheard_words(const std::string& name, const std::string& node) {
    return fmt::format("'{0}' is to be stopped; {1} does not answer: it may still run there, and is stopped "
                       "when {1} is back",
                       name, node);
}

std::string kept_data_words(Daemon& daemon, const Json& process) {
    const auto name = cell(process, "name"), node = cell(process, "node");
    const auto path = data_directory(name);
    const auto status = daemon.call(&dbus::Client::status);
    const bool here = status && cell(*status, "node") == node;
    if (here && contents_of(path) == Contents::None) return {};
    return fmt::format(
        "; its data{} stays in {}\n  the next process '{}' starts with an empty directory: this data "
        "is then in {}",
        here ? "" : ", if it has any,", path, name, former_data_directory(name, process.value("id", 0U)));
}

std::string replaced_copy_words(const Json& process, const Json& history, std::uint32_t revision) {
    const auto present = json::member<std::uint32_t>(process, "revision");
    const Json* copied = nullptr; // the newest
    const Json* target = nullptr;
    for (const auto& row : history) {
        const auto number = json::member<std::uint32_t>(row, "revision");
        if (number == 0) continue; // a stop
        if (!copied && cell(row, "data") != "-" && !cell(row, "data").starts_with("not copied"))
            copied = &row;
        const bool wanted =
            revision == 0 ? number != present && cell(row, "outcome") == "good" : number == revision;
        if (!target && wanted) target = &row;
    }
    // Where it was put back, the copy is what the revision that was not kept has left.
    if (!copied || cell(*copied, "data") != "copied" || !target || !json::member<bool>(*target, "snapshot"))
        return {};
    return fmt::format(
        "{}.before on {} has the data of before revision {}: a rollback replaces it by a copy of "
        "the data of now. To keep it, copy it elsewhere first",
        data_directory(cell(process, "name")), cell(process, "node"), cell(*copied, "revision"));
}

std::string cleaned_words(const Json& cleaned) {
    const auto results = json::member<std::uint64_t>(cleaned, "results");
    const auto bytes = json::member<std::uint64_t>(cleaned, "bytes");
    if (results == 0 && bytes == 0) return "there was nothing to remove";
    const auto freed = fmt::format("{} of disk space freed", cell_bytes(cleaned, "bytes"));
    if (results == 0) return fmt::format("what deployers had kept was removed: {}", freed);
    return fmt::format("{} removed, with what deployers had kept: {}",
                       counted(results, "result was", "results were"), freed);
}

std::set<std::string> former_data(const std::string& name) {
    std::set<std::string> found;
    const auto prefix = name + ".";
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(data_root, error)) {
        const auto file = entry.path().filename().string();
        // NAME.ID; a copy that an update has made is NAME.before.
        const bool former = file.starts_with(prefix) && file.size() > prefix.size() &&
                            file[prefix.size()] >= '0' && file[prefix.size()] <= '9';
        if (former) found.insert(entry.path().string());
    }
    return found;
}

std::vector<std::string> former_data_lines(const std::string& name, const std::string& path) {
    const auto contents = contents_of(path);
    if (contents == Contents::None) return {};
    return {fmt::format("the data of the earlier process '{}'{} is now in {}; this one started with an empty "
                        "directory",
                        name, contents == Contents::Some ? "" : ", if it had any,", path),
            fmt::format("  to use it again: p2prc stop {0}; sudo cp -a {1}/. {2}/; p2prc start {0}", name,
                        path, data_directory(name))};
}

void note_former_data(const std::string& name, const std::set<std::string>& before) {
    for (const auto& path : former_data(name))
        if (!before.contains(path))
            for (const auto& line : former_data_lines(name, path))
                note(line);
}

} // namespace p2prc::cli
