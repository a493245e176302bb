#include "process/exec_failure.h"

#include "core/names.h"
#include "core/text.h"
#include "net/fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

std::optional<struct stat> status_of(const fs::path& path) {
    struct stat found{};
    if (stat(path.c_str(), &found) != 0) return {};
    return found;
}

bool is_below(std::string_view path, std::string_view directory) {
    return path.starts_with(directory) && path.substr(directory.size()).starts_with('/');
}

bool is_in_a_home(std::string_view path) {
    return is_below(path, "/home") || is_below(path, "/root") || is_below(path, "/run/user");
}

// The first line of a regular file; PID 1's own child has tried to execute it just before.
std::string first_line(const fs::path& path) {
    const net::UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat found{};
    if (!file || fstat(file.get(), &found) != 0 || !S_ISREG(found.st_mode)) return {};
    std::array<char, 256> start{}; // the kernel reads no more of it (BINPRM_BUF_SIZE)
    const auto size = pread(file.get(), start.data(), start.size(), 0);
    const std::string_view text(start.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    return std::string(text.substr(0, text.find('\n')));
}

// ENOENT is also the error for a script whose interpreter does not exist.
std::string not_there(const std::string& program, Origin origin) {
    const auto shown = text::excerpt(program);
    if (program.find('/') == std::string::npos) return fmt::format("there is no command {}", shown);
    if (origin == Origin::Remote && is_in_a_home(program))
        return fmt::format("{} is in a home, and what another node spins sees none", shown);
    if (!status_of(program)) {
        if (is_below(program, "/tmp") || is_below(program, "/var/tmp"))
            return fmt::format("{} does not exist: each process has its own /tmp", shown);
        if (is_in_a_home(program))
            return fmt::format("{} or the interpreter in its first line does not exist", shown);
        return fmt::format("{} does not exist", shown);
    }
    const auto line = first_line(program);
    if (line.ends_with('\r'))
        return fmt::format(
            "{} has the line ends of Windows, so the interpreter of its first line is not found", shown);
    if (line.starts_with("#!"))
        return fmt::format("the interpreter that {} names does not exist: {}", shown,
                           text::excerpt(line.substr(2)));
    return fmt::format("the loader that {} needs does not exist: it is for another system", shown);
}

// The first directory on the way that others may not enter, or the file that others may not execute.
std::string closed_part(const std::string& program) {
    fs::path so_far;
    for (const auto& part : fs::path(program)) {
        so_far /= part;
        const auto found = status_of(so_far);
        if (!found) return {};
        const auto mode = static_cast<unsigned>(found->st_mode & 07777U);
        if ((mode & S_IXOTH) != 0) continue;
        if (S_ISDIR(found->st_mode))
            return fmt::format("the directory {} is closed to its user (mode {:04o})",
                               text::excerpt(so_far.native()), mode);
        if ((mode & (S_IXUSR | S_IXGRP)) == 0)
            return fmt::format("{0} is not executable: chmod +x {0}", text::excerpt(program));
        return fmt::format("{} may not be executed by its user (mode {:04o})", text::excerpt(program), mode);
    }
    return {};
}

std::string not_permitted(const ProcessSpec& spec, const std::string& program) {
    const auto shown = text::excerpt(program);
    const auto& user = spec.run.user;
    if (program.find('/') == std::string::npos) return fmt::format("its user may not execute {}", shown);
    if (is_in_a_home(program))
        return fmt::format(
            "its user may not reach or execute {}; homes are closed to others as a rule: set run.user, or "
            "put it elsewhere, such as /usr/local/bin",
            shown);
    if (user.empty())
        if (auto part = closed_part(program); !part.empty()) return part;
    if (const auto found = status_of(program); found && S_ISDIR(found->st_mode))
        return fmt::format("{} is a directory", shown);
    return fmt::format("{} may not execute {}, or not enter a directory on the way to it",
                       user.empty() ? "its user" : "user " + text::excerpt(user), shown);
}

// The error that systemd gave, by the end of its line: PID 1 speaks no other language than this.
int error_of(std::span<const std::string> log) {
    for (const int error : {ENOENT, EACCES, ENOEXEC, EPERM, ETXTBSY})
        for (const auto& line : log)
            if (line.ends_with(fmt::format(": {}", strerrordesc_np(error)))) return error;
    return 0;
}

// For want of the line: the same, by the files as they are now; 0 where they do not tell. PID 1's child
// cannot write to the journal once that is closed to another node's process.
int likely_error(const std::string& program, Origin origin) {
    if (program.find('/') == std::string::npos) return ENOENT;
    if (origin == Origin::Remote && is_in_a_home(program)) return ENOENT;
    if (!closed_part(program).empty()) return EACCES;
    const auto found = status_of(program);
    if (!found) return ENOENT;
    if (S_ISDIR(found->st_mode)) return EACCES;
    const auto line = first_line(program);
    if (line.empty() || line.starts_with('\x7f')) return 0; // a program may fail for other reasons
    if (!line.starts_with("#!")) return ENOEXEC;
    const auto begin = line.find_first_not_of(" \t", 2);
    const auto interpreter =
        begin == std::string::npos ? "" : line.substr(begin, line.find_first_of(" \t", begin) - begin);
    return status_of(interpreter) ? 0 : ENOENT;
}

} // namespace

std::string exec_failure(const ProcessSpec& spec, Origin origin, std::span<const std::string> log) {
    const std::string program = spec.run.shell             ? "/bin/sh"
                                : spec.run.command.empty() ? ""
                                                           : spec.run.command.front();
    const int logged = error_of(log);
    // Links in it lead to other places for the process than for p2prcd.
    if (!spec.run.root.empty() && logged == ENOENT)
        return fmt::format(
            "{}, the interpreter in its first line or the loader that it needs does not exist in {}",
            text::excerpt(program), text::excerpt(spec.run.root));
    if (!spec.run.root.empty())
        return logged == 0 ? ""
                           : fmt::format("{} in {}: {}", text::excerpt(program), text::excerpt(spec.run.root),
                                         strerrordesc_np(logged));
    switch (logged == 0 && origin == Origin::Remote ? likely_error(program, origin) : logged) {
    case ENOENT:
        return not_there(program, origin);
    case EACCES:
    case EPERM:
        return not_permitted(spec, program);
    case ENOEXEC:
        return fmt::format(
            "{} is neither a program of this machine nor a script that begins with #!, such as #!/bin/sh",
            text::excerpt(program));
    case ETXTBSY:
        return fmt::format("{} is just being written", text::excerpt(program));
    default:
        return {};
    }
}

std::string failed_step(std::span<const std::string> log) {
    // systemd 252, exec_spawn(): "UNIT: Failed at step USER spawning PATH: ERROR".
    constexpr std::string_view before = ": Failed at step ", after = " spawning ";
    for (const auto& line : log) {
        const auto found = line.find(before);
        if (found == std::string::npos) continue;
        const auto begin = found + before.size();
        const auto end = line.find(after, begin);
        if (end != std::string::npos) return line.substr(begin, end - begin);
    }
    return {};
}

std::string credentials_failure(const ProcessSpec& spec) {
    std::vector<std::string> all, missing;
    for (const auto& [name, path] : spec.run.credentials) {
        all.push_back(text::excerpt(path));
        // p2prcd sees nothing in homes (ProtectHome=).
        if (!status_of(path) && errno == ENOENT && !is_in_a_home(path)) missing.push_back(all.back());
    }
    if (!missing.empty())
        return fmt::format("{} of run.credentials {} missing", fmt::join(missing, ", "),
                           missing.size() == 1 ? "is" : "are");
    if (all.empty()) return {};
    return fmt::format("{}run.credentials: {} cannot be read", all.size() == 1 ? "" : "a file of ",
                       fmt::join(all, ", "));
}

std::string user_failure(const ProcessSpec& spec, const std::string& users) {
    if (spec.run.user.empty()) return {};
    std::vector<std::string> names;
    const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(users.c_str(), "re"), &std::fclose);
    while (const passwd* entry = file ? fgetpwent(file.get()) : nullptr)
        names.emplace_back(entry->pw_name);
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const auto near = nearest(spec.run.user, candidates);
    return fmt::format("run.user: there is no user '{}' on this machine; {}", text::excerpt(spec.run.user),
                       near.empty() ? "useradd --system makes one" : fmt::format("did you mean '{}'?", near));
}

} // namespace p2prc::process
