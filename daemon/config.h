// Settings of p2prcd: shipped defaults, p2prcd.toml and its drop-ins; later files override earlier ones.
#pragma once

#include "core/error.h"
#include "core/remote_spin.h"
#include "net/log.h"

#include <filesystem>
#include <string>
#include <vector>

namespace p2prc::daemon {

struct Config {
    net::LogLevel log = net::LogLevel::Info;
    RemoteSpin remote_spin = RemoteSpin::Sandboxed;
    std::vector<std::string> remote_deployers; // builders that other nodes may use, too
    friend bool operator==(const Config&, const Config&) = default;
};

// The files that are there, in the order in which they are read: the defaults, such as
// /usr/lib/p2prc/p2prcd.toml, then /etc/p2prc/p2prcd.toml and /etc/p2prc/p2prcd.toml.d/*.toml by name. `root`
// is put before each path.
std::vector<std::filesystem::path> config_files(const std::filesystem::path& root = "/");

// Strict: an unknown key or a wrong value is InvalidSpec with file, line and key.
Result<Config> load_config(const std::vector<std::filesystem::path>& files);

} // namespace p2prc::daemon
