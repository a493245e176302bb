// The values inside a process specification: sizes, percentages, commands, environments, each with its check.
#pragma once

#include "core/process_spec.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

// A number without its unit is a typing error; with less memory than this no program can even be executed.
inline constexpr std::uint64_t least_memory_limit = 1ULL << 20;
inline constexpr std::uint32_t most_tasks_limit = 4194304; // of pid_max, proc_sys_kernel(5)

// Bytes of "512M", "2G", "1048576"; K, M, G and T are powers of 1024 as in systemd. Nothing for anything
// else, 0 and what does not fit.
std::optional<std::uint64_t> parse_size(std::string_view text);
// 150 of "150%"; between 1 and 100000.
std::optional<std::uint32_t> parse_percent(std::string_view text);

// Sets the limit of that name, "memory", "cpu" or "tasks", to what a process file would have there, or to
// none. Returns why the value is refused, or "".
std::string set_limit(LimitsSpec& limits, std::string_view name, std::string_view value);

std::optional<Restart> restart_from_name(std::string_view name) noexcept;
std::string_view restart_name(Restart restart) noexcept;

// Each returns why the value is refused, or "".
std::string check_command(const std::vector<std::string>& command, bool shell);
std::string check_user(std::string_view user);
std::string check_root(std::string_view directory);
// The name of a deployer, which is that of a file: a-z, 0-9, '-' and '_', a letter first.
std::string check_deployer(std::string_view name);
std::string check_script(std::string_view script);
// A variable by which the dynamic loader (ld.so(8)) or a library takes code from elsewhere. systemd gives a
// unit's variables to all of its commands, also to those that run as root ("+").
bool changes_programs(std::string_view variable) noexcept;
std::string check_environment(const std::map<std::string, std::string>& environment);
std::string check_http_path(std::string_view path);
std::string check_credentials(const std::map<std::string, std::string>& credentials);

} // namespace p2prc
