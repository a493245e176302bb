#include "daemon/config.h"

#include "core/document.h"
#include "core/paths.h"
#include "core/spec_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>

namespace p2prc::daemon {

namespace fs = std::filesystem;

namespace {

template <class T>
using Choices = std::vector<std::pair<std::string_view, T>>;

const Choices<net::LogLevel> log_levels{{"error", net::LogLevel::Error},
                                        {"warning", net::LogLevel::Warning},
                                        {"notice", net::LogLevel::Notice},
                                        {"info", net::LogLevel::Info},
                                        {"debug", net::LogLevel::Debug}};
const Choices<RemoteSpin> spin_policies{
    {"sandboxed", RemoteSpin::Sandboxed}, {"any", RemoteSpin::Any}, {"no", RemoteSpin::No}};

// Leaves `out` as it is when the key is not there.
template <class T>
Result<void> read_choice(const nlohmann::json& table, std::string_view key, std::string_view path,
                         const Choices<T>& choices, const Locate& locate, T& out) {
    const auto found = table.find(key);
    if (found == table.end()) return {};
    if (const auto typed = check_type(*found, FieldType::String, path, locate); !typed) return typed;
    const auto word = found->template get<std::string>();
    std::string known;
    for (const auto& [name, value] : choices) {
        if (name == word) {
            out = value;
            return {};
        }
        known += fmt::format("{}\"{}\"", known.empty() ? "" : ", ", name);
    }
    return std::unexpected(bad_key(locate, path, fmt::format("'{}' is none of {}", word, known)));
}

Result<void> read_deployers(const nlohmann::json& remote, const Locate& locate, Config& config) {
    constexpr std::string_view path = "remote.deployers";
    const auto found = remote.find("deployers");
    if (found == remote.end()) return {};
    if (const auto typed = check_type(*found, FieldType::StringList, path, locate); !typed) return typed;
    auto names = found->get<std::vector<std::string>>();
    for (const auto& name : names)
        if (const auto why = check_deployer(name); !why.empty())
            return std::unexpected(bad_key(locate, path, why));
    config.remote_deployers = std::move(names);
    return {};
}

Result<void> merge(const fs::path& file, Config& config) {
    std::ifstream stream(file);
    std::stringstream text;
    text << stream.rdbuf();
    if (!stream)
        return fail(ErrorCode::Failed, fmt::format("cannot read {}", file.string()),
                    "is it a readable file?");
    const auto parsed = parse_toml(text.str(), file.string());
    if (!parsed) return std::unexpected(parsed.error());
    const auto locate = parsed->locate();
    const auto& document = parsed->document;
    constexpr std::array<std::string_view, 2> top{"log", "remote"};
    if (const auto known = check_known_keys(document, "", top, locate); !known) return known;
    if (const auto read = read_choice(document, "log", "log", log_levels, locate, config.log); !read)
        return read;
    const auto remote = document.find("remote");
    if (remote == document.end()) return {};
    if (const auto typed = check_type(*remote, FieldType::Table, "remote", locate); !typed) return typed;
    constexpr std::array<std::string_view, 2> below_remote{"spin", "deployers"};
    if (const auto known = check_known_keys(*remote, "remote", below_remote, locate); !known) return known;
    if (const auto read = read_deployers(*remote, locate, config); !read) return read;
    return read_choice(*remote, "spin", "remote.spin", spin_policies, locate, config.remote_spin);
}

} // namespace

std::vector<fs::path> config_files(const fs::path& root) {
    std::error_code ignored;
    std::vector<fs::path> files;
    const auto defaults = fs::path(paths::defaults).relative_path() / "p2prcd.toml";
    for (const auto& path : {defaults, fs::path("etc/p2prc/p2prcd.toml")})
        if (fs::exists(root / path, ignored)) files.push_back(root / path);
    std::vector<fs::path> drop_ins;
    for (const auto& entry : fs::directory_iterator(root / "etc/p2prc/p2prcd.toml.d", ignored))
        if (entry.path().extension() == ".toml") drop_ins.push_back(entry.path());
    std::ranges::sort(drop_ins);
    files.insert(files.end(), drop_ins.begin(), drop_ins.end());
    return files;
}

Result<Config> load_config(const std::vector<fs::path>& files) {
    Config config;
    for (const auto& file : files)
        if (const auto merged = merge(file, config); !merged) return std::unexpected(merged.error());
    return config;
}

} // namespace p2prc::daemon
