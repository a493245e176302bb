#include "store/sqlite/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

namespace p2prc::store {
namespace {

std::string seal_of(const std::string& file) {
    return file + ".closed";
}

std::optional<std::string> description(const std::string& file) {
    struct stat info{};
    if (stat(file.c_str(), &info) != 0) return std::nullopt;
    std::ostringstream text;
    text << info.st_ino << ' ' << info.st_ctim.tv_sec << '.' << info.st_ctim.tv_nsec << ' ' << info.st_size;
    return text.str();
}

Result<void> sync_directory(const std::string& file) {
    const auto parent = std::filesystem::path(file).parent_path();
    const std::string directory = parent.empty() ? "." : parent.string();
    const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return std::unexpected(system_error("cannot open directory " + directory, errno));
    const int failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    if (failed) return std::unexpected(system_error("cannot sync directory " + directory, failed));
    return {};
}

} // namespace

Result<bool> make_file(const std::string& file) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        close(fd);
        auto synced = sync_directory(file);
        if (!synced) return std::unexpected(synced.error());
        return true;
    }
    if (errno != EEXIST) return std::unexpected(system_error("cannot make " + file, errno));
    struct stat info{};
    if (stat(file.c_str(), &info) != 0) return std::unexpected(system_error("cannot look at " + file, errno));
    if ((info.st_mode & 077) != 0 && chmod(file.c_str(), 0600) != 0)
        return std::unexpected(system_error("cannot take other users' rights to " + file + " away", errno));
    return info.st_size == 0;
}

std::uint64_t inode_of(const std::string& file) {
    struct stat info{};
    return stat(file.c_str(), &info) == 0 ? info.st_ino : 0;
}

Seal check_seal(const std::string& file) {
    std::ifstream in(seal_of(file));
    std::string noted;
    if (!in || !std::getline(in, noted)) return Seal::None;
    return noted == description(file) ? Seal::Fits : Seal::Broken;
}

Result<void> remove_seal(const std::string& file) {
    if (unlink(seal_of(file).c_str()) != 0) {
        if (errno == ENOENT) return {};
        return std::unexpected(system_error("cannot remove " + seal_of(file), errno));
    }
    return sync_directory(file);
}

void write_seal(const std::string& file) {
    const auto text = description(file);
    if (!text) return;
    const std::string line = *text + "\n";
    const std::string fresh = seal_of(file) + ".new";
    const int fd = open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return;
    const bool written = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    close(fd);
    if (!written || std::rename(fresh.c_str(), seal_of(file).c_str()) != 0) unlink(fresh.c_str());
}

} // namespace p2prc::store
