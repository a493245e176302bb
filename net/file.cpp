#include "net/file.h"

#include "net/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace p2prc::net {
namespace {

std::unexpected<Error> failed(const std::string& what, const std::filesystem::path& path) {
    return std::unexpected(system_error(what + " " + path.string(), errno));
}

Result<void> write_all(int fd, std::string_view content, const std::filesystem::path& path) {
    while (!content.empty()) {
        const auto written = ::write(fd, content.data(), content.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed("cannot write", path);
        content.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

Result<void> sync_directory_of(const std::filesystem::path& path) {
    const auto directory = path.parent_path();
    return sync_directory(directory.empty() ? "." : directory);
}

// A device may block, or never end.
Result<void> check_is_file(int fd, const std::filesystem::path& path) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) return failed("cannot look at", path);
    if (S_ISDIR(status.st_mode))
        return fail(ErrorCode::InvalidSpec, path.string() + " is a directory, not a file",
                    "give the path of a file in it");
    // Numbers of /dev/null: the kernel's admin-guide/devices.txt.
    const bool is_null = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
    if ((S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) && !is_null)
        return fail(ErrorCode::InvalidSpec, path.string() + " is a device, not a file",
                    "give the path of a file");
    return {};
}

std::string size_words(std::size_t bytes) {
    constexpr std::size_t mebibyte = std::size_t{1} << 20U;
    return bytes % mebibyte == 0 ? std::to_string(bytes / mebibyte) + " MiB"
                                 : std::to_string(bytes) + " bytes";
}

} // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    // A terminal does not become that of a daemon.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) {
        auto error = failed("cannot open", path);
        if (error.error().code == ErrorCode::NotPermitted)
            error.error().hint = "run it as a user who may read this file";
        return error;
    }
    if (auto checked = check_is_file(file.get(), path); !checked) return std::unexpected(checked.error());
    std::string content;
    while (true) {
        char chunk[16384];
        const auto count = ::read(file.get(), chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("cannot read", path);
        if (count == 0) return content;
        content.append(chunk, static_cast<std::size_t>(count));
        if (content.size() > limit)
            return fail(ErrorCode::InvalidSpec, path.string() + " is larger than " + size_words(limit),
                        "is it the right file?");
    }
}

Result<void> sync_directory(const std::filesystem::path& directory) {
    const UniqueFd opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened || ::fsync(opened.get()) != 0) return failed("cannot sync", directory);
    return {};
}

Result<void> write_file_atomically(const std::filesystem::path& path, std::string_view content,
                                   unsigned mode) {
    auto directory = path.parent_path();
    if (directory.empty()) directory = ".";
    auto temporary = (directory / ("." + path.filename().string() + ".XXXXXX")).string();
    const UniqueFd file(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!file) return failed("cannot create a file in", directory);

    auto written = write_all(file.get(), content, temporary);
    if (written && (::fchmod(file.get(), mode) != 0 || ::fsync(file.get()) != 0))
        written = failed("cannot sync", temporary);
    if (written && ::rename(temporary.c_str(), path.c_str()) != 0) written = failed("cannot replace", path);
    if (!written) {
        ::unlink(temporary.c_str());
        return written;
    }
    // The new name is durable only once its directory is (fsync(2), NOTES).
    return sync_directory_of(path);
}

Result<void> remove_file(const std::filesystem::path& path) {
    if (::unlink(path.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return failed("cannot remove", path);
    }
    return sync_directory_of(path);
}

} // namespace p2prc::net
