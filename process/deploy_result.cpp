#include "process/deploy_result.h"

#include "core/names.h"
#include "core/spec_values.h"
#include "core/text.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

namespace p2prc::process {

namespace {

using Json = nlohmann::json;

constexpr std::size_t longest_path = 4095; // PATH_MAX of Linux
constexpr std::string_view environment_prefix = "ENV.";

// Each returns why the value is refused, or "".
std::string set_path(std::string& into, std::string_view path) {
    if (path.empty() || path.size() > longest_path) return "is empty, or too long for a path";
    if (path.front() == '/') return "is an absolute path; write it from $DEPLOY on";
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        if (path.substr(begin, end - begin) == "..") return "leads out of the directory ('..')";
        begin = end + 1;
    }
    into = path;
    return {};
}

std::string set_root(DeployResult& result, std::string_view path) {
    if (auto why = set_path(result.root, path); !why.empty()) return why;
    return check_root(fmt::format("/$DEPLOY/{}", path));
}

std::string set_container(DeployResult& result, std::string_view image) {
    if (!is_fingerprint(image)) return "is not the id of an image, 64 digits of podman image ls --no-trunc";
    result.container = image;
    return {};
}

// Two paths without "..", either of which may be below the other.
bool is_within(std::string_view path, std::string_view directory) {
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
}

// What systemd mounts upon, or what is needed for it.
constexpr std::array<std::string_view, 7> no_volumes{
    "proc", "sys", "dev", "run", "tmp", "var/tmp", "var/lib/p2prc-data"};

std::string add_volume(DeployResult& result, std::string_view value) {
    std::string path;
    if (auto why = set_path(path, value); !why.empty()) return why;
    // Without "." and "//", so that two of them can be compared.
    path = std::filesystem::path(path).lexically_normal().string();
    while (path.ends_with('/'))
        path.pop_back();
    const auto overlaps = [&path](std::string_view other) {
        return is_within(path, other) || is_within(other, path);
    };
    if (path.empty() || path == "." || std::ranges::any_of(no_volumes, overlaps))
        return "cannot be kept: the system needs that place itself";
    if (std::ranges::any_of(result.volumes, overlaps)) return "is in another VOLUME, or another is in it";
    if (result.volumes.size() == most_volumes) return fmt::format("is one more than {}", most_volumes);
    result.volumes.push_back(std::move(path));
    return {};
}

std::string set_command(DeployResult& result, std::string_view value) {
    const auto list = Json::parse(value, nullptr, false);
    const auto is_text = [](const Json& word) { return word.is_string(); };
    if (!list.is_array() || !std::ranges::all_of(list, is_text))
        return "is not a list of strings in JSON, such as [\"/run/p2prc-deploy/bin/x\"]";
    result.command = list.get<std::vector<std::string>>();
    return check_command(result.command, false);
}

std::string set_variable(DeployResult& result, std::string_view name, std::string_view value) {
    if (name == "DEPLOY" || name == "PORT") return "is set by p2prc";
    result.environment.emplace(name, value);
    return check_environment(result.environment);
}

std::string set(DeployResult& result, std::string_view key, std::string_view value) {
    if (key == "DIR") return set_path(result.directory, value);
    if (key == "ROOT") return set_root(result, value);
    if (key == "CONTAINER") return set_container(result, value);
    if (key == "VOLUME") return add_volume(result, value);
    if (key == "WORKDIR") return set_path(result.work_directory, value);
    if (key == "COMMAND") return set_command(result, value);
    if (key.starts_with(environment_prefix))
        return set_variable(result, key.substr(environment_prefix.size()), value);
    if (key == "RESOLVED" || key == "NOTE") {
        (key == "NOTE" ? result.note : result.resolved) = value;
        return {};
    }
    return "is not known; the keys are DIR, ROOT, CONTAINER, VOLUME, WORKDIR, COMMAND, ENV.NAME, RESOLVED "
           "and NOTE";
}

// Of keys that are not for each other: the one that is refused, and why.
std::pair<std::string_view, std::string_view> conflict(const DeployResult& result) {
    if (result.container.empty()) {
        if (!result.volumes.empty() && result.root.empty()) return {"VOLUME", "needs a ROOT that it is in"};
        return {};
    }
    if (!result.root.empty()) return {"ROOT", "is not for a CONTAINER, which has one of its own"};
    if (!result.directory.empty()) return {"DIR", "is not for a CONTAINER"};
    if (!result.work_directory.empty()) return {"WORKDIR", "is not for a CONTAINER: its image says it"};
    // podman-run(1), --volume: what stands between its two paths, and before its options.
    const auto has_colon = [](const std::string& volume) { return volume.contains(':'); };
    if (std::ranges::any_of(result.volumes, has_colon)) return {"VOLUME", "of a CONTAINER has no ':'"};
    return {};
}

} // namespace

Result<DeployResult> read_deploy_result(std::string_view text) {
    DeployResult result;
    std::set<std::string_view> seen;
    std::size_t number = 0;
    const auto refuse = [&number](std::string_view key, std::string_view why) {
        return fail(ErrorCode::InvalidSpec, fmt::format("{}:{}: {}{}{}", deploy_result_file, number,
                                                        text::excerpt(key), key.empty() ? "" : " ", why));
    };
    if (text.size() > longest_deploy_result)
        return refuse("", fmt::format("the file is longer than {} KiB", longest_deploy_result >> 10U));
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        const auto line = text.substr(begin, end - begin);
        begin = end + 1;
        ++number;
        if (line.empty()) continue;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) return refuse(line, "is not of the form KEY=VALUE");
        const auto key = line.substr(0, equals);
        if (!text::fits_bus(line) || text::has_controls(line))
            return refuse(key, "has control characters, or is not UTF-8");
        if (!seen.insert(key).second && key != "VOLUME") return refuse(key, "is there twice");
        if (const auto why = set(result, key, line.substr(equals + 1)); !why.empty()) return refuse(key, why);
    }
    if (const auto [key, why] = conflict(result); !key.empty()) return refuse(key, why);
    return result;
}

} // namespace p2prc::process
