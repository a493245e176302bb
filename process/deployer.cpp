#include "process/deployer.h"

#include "core/document.h"
#include "core/duration.h"
#include "core/paths.h"
#include "core/spec_values.h"
#include "core/text.h"
#include "net/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <set>

namespace p2prc::process {

namespace fs = std::filesystem;

namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_settings = std::size_t{64} << 10U;
constexpr int api_of_this_version = 1;

// A mode that lets others write would let them run what they like with the deployer's rights.
Result<void> check_owned(const fs::path& path, const struct stat& found, uid_t owner) {
    if (found.st_uid == owner && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
    return fail(ErrorCode::NotPermitted,
                fmt::format("{} could be changed by others than root", path.string()),
                fmt::format("chown root: {0}; chmod go-w {0}", path.string()));
}

std::optional<struct stat> file_status(const fs::path& path) {
    struct stat found{};
    if (lstat(path.c_str(), &found) == 0) return found;
    return std::nullopt;
}

class SettingsReader {
  public:
    SettingsReader(const Json& document, Locate locate) : document_(document), locate_(std::move(locate)) {}

    Result<void> read(Deployer& into) {
        constexpr std::array<std::string_view, 6> known{"as", "network", "groups", "needs", "timeout", "api"};
        if (auto checked = check_known_keys(document_, "", known, locate_); !checked) return checked;
        for (auto step :
             {&SettingsReader::read_api, &SettingsReader::read_class, &SettingsReader::read_network,
              &SettingsReader::read_lists, &SettingsReader::read_timeout})
            if (auto done = (this->*step)(into); !done) return done;
        return {};
    }

  private:
    // Nothing: it is not there.
    Result<const Json*> value(std::string_view key, FieldType type) const {
        const auto found = document_.find(key);
        if (found == document_.end()) return nullptr;
        if (auto typed = check_type(*found, type, key, locate_); !typed)
            return std::unexpected(typed.error());
        return &*found;
    }
    Result<void> bad(std::string_view key, std::string_view why, std::string hint = {}) const {
        return std::unexpected(bad_key(locate_, key, why, std::move(hint)));
    }

    // First: a later version of the contract may have other keys and mean others by these.
    Result<void> read_api(Deployer&) {
        const auto api = value("api", FieldType::Integer);
        if (!api) return std::unexpected(api.error());
        if (!*api || **api == api_of_this_version) return {};
        return bad("api", "this version of p2prc has api = 1 only");
    }

    Result<void> read_class(Deployer& into) {
        const auto as = value("as", FieldType::String);
        if (!as) return std::unexpected(as.error());
        if (!*as) return {};
        const auto word = (*as)->get<std::string>();
        const auto known = deployer_class_of(word);
        if (!known)
            return bad(
                "as", fmt::format("'{}' is none of \"process\", \"builder\", \"root\"", text::excerpt(word)));
        into.as = *known;
        return {};
    }

    Result<void> read_network(Deployer& into) {
        const auto network = value("network", FieldType::Boolean);
        if (!network) return std::unexpected(network.error());
        if (*network) into.network = (*network)->get<bool>();
        return {};
    }

    Result<void> read_lists(Deployer& into) {
        const auto groups = value("groups", FieldType::StringList);
        if (!groups) return std::unexpected(groups.error());
        if (*groups) into.groups = (*groups)->get<std::vector<std::string>>();
        for (const auto& group : into.groups)
            if (group.empty() || !check_user(group).empty())
                return bad("groups", fmt::format("'{}' is not a name of a group", text::excerpt(group)));
        const auto needs = value("needs", FieldType::StringList);
        if (!needs) return std::unexpected(needs.error());
        if (*needs) into.needs = (*needs)->get<std::vector<std::string>>();
        for (const auto& path : into.needs)
            if (!path.starts_with('/'))
                return bad("needs", fmt::format("'{}' is not an absolute path", text::excerpt(path)));
        return {};
    }

    Result<void> read_timeout(Deployer& into) {
        const auto timeout = value("timeout", FieldType::String);
        if (!timeout) return std::unexpected(timeout.error());
        if (!*timeout) return {};
        const auto seconds = parse_duration((*timeout)->get<std::string>());
        if (!seconds) return bad("timeout", "is not a length of time", "write \"90s\" or \"15m\"");
        if (std::chrono::seconds(*seconds) > longest_deployer_timeout)
            return bad("timeout", "is longer than 6h");
        into.timeout = std::chrono::seconds(*seconds);
        return {};
    }

    const Json& document_;
    Locate locate_;
};

Result<void> read_settings(const fs::path& file, Deployer& into, uid_t owner) {
    const auto found = file_status(file);
    if (!found && errno == ENOENT) return {};
    if (found)
        if (auto owned = check_owned(file, *found, owner); !owned) return owned;
    const auto text = net::read_file(file, longest_settings);
    if (!text) return std::unexpected(text.error());
    const auto parsed = parse_toml(*text, file.string());
    if (!parsed) return std::unexpected(parsed.error());
    return SettingsReader(parsed->document, parsed->locate()).read(into);
}

std::set<std::string> deployer_names(std::span<const fs::path> directories) {
    std::set<std::string> names;
    std::error_code ignored;
    for (const auto& directory : directories)
        for (const auto& entry : fs::directory_iterator(directory, ignored))
            if (auto name = entry.path().filename().string(); check_deployer(name).empty())
                names.insert(std::move(name));
    return names;
}

// Nothing: the directory does not have it.
Result<std::optional<Deployer>> look_in(const fs::path& directory, std::string_view name, uid_t owner) {
    const auto program = directory / name;
    if (!file_status(program)) return std::optional<Deployer>();
    if (auto checked = check_program(directory, name, owner); !checked)
        return std::unexpected(checked.error());
    Deployer deployer{.name = std::string(name), .program = program};
    if (auto read = read_settings(directory / fmt::format("{}.toml", name), deployer, owner); !read)
        return std::unexpected(read.error());
    return std::optional(std::move(deployer));
}

} // namespace

Result<void> check_program(const fs::path& directory, std::string_view name, uid_t owner) {
    const auto program = directory / name;
    const auto file = file_status(program);
    if (!file) return std::unexpected(system_error("cannot look at " + program.string(), errno));
    const auto place = file_status(directory);
    if (place)
        if (auto owned = check_owned(directory, *place, owner); !owned) return owned;
    // Not by a link: where it leads, others may be able to write.
    if (!S_ISREG(file->st_mode))
        return fail(ErrorCode::NotPermitted, fmt::format("{} is not a plain file", program.string()),
                    "put the program itself there, not a link to it");
    if (auto owned = check_owned(program, *file, owner); !owned) return owned;
    if ((file->st_mode & S_IXUSR) == 0)
        return fail(ErrorCode::NotPermitted, fmt::format("{} is not executable", program.string()),
                    fmt::format("chmod a+x {}", program.string()));
    return {};
}

std::vector<fs::path> deployer_directories() {
    return {"/etc/p2prc/deployers", fs::path(paths::defaults) / "deployers"};
}

Result<Deployer> find_deployer(std::span<const fs::path> directories, std::string_view name, uid_t owner) {
    if (const auto why = check_deployer(name); !why.empty())
        return fail(ErrorCode::InvalidSpec, why,
                    "it has letters a-z, digits, '-' and '_', and begins with a letter");
    for (const auto& directory : directories) {
        auto found = look_in(directory, name, owner);
        if (!found) return std::unexpected(found.error());
        if (*found) return std::move(**found);
    }
    const auto known = deployer_names(directories);
    std::string places;
    for (const auto& directory : directories)
        places += (places.empty() ? "" : " and in ") + directory.string();
    return fail(ErrorCode::NotFound, fmt::format("this machine has no deployer '{}'", name),
                fmt::format("{}; deployers are the programs in {}",
                            instead_of_deployer(name, std::vector<std::string>(known.begin(), known.end())),
                            places));
}

std::vector<std::string> missing_needs(const Deployer& deployer) {
    std::vector<std::string> missing;
    for (const auto& path : deployer.needs) {
        struct stat found{};
        if (stat(path.c_str(), &found) != 0) missing.push_back(path);
    }
    return missing;
}

Result<void> check_needs(const Deployer& deployer) {
    const auto missing = missing_needs(deployer);
    if (missing.empty()) return {};
    return fail(ErrorCode::NoSuitableNode,
                fmt::format("the deployer '{}' needs {}, which this machine does not have", deployer.name,
                            fmt::join(missing, ", ")),
                how_to_install(missing));
}

std::vector<DeployerReport> report_deployers(std::span<const fs::path> directories, RemoteSpin policy,
                                             std::span<const std::string> admitted, uid_t owner) {
    std::vector<DeployerReport> reports;
    for (const auto& name : deployer_names(directories)) {
        if (reports.size() >= most_reported_deployers) break;
        DeployerReport report{.name = name};
        if (const auto found = find_deployer(directories, name, owner)) {
            ProcessSpec any;
            any.deploy.strategy = name;
            report.as = found->as;
            report.missing = missing_needs(*found);
            report.admitted = policy != RemoteSpin::No &&
                              check_remote_deployer(policy, admitted, found->as, any, "").has_value();
        } else {
            report.problem = found.error().message;
        }
        reports.push_back(std::move(report));
    }
    return reports;
}

} // namespace p2prc::process
