#include "net/file.h"

#include "net/fd.h"

#include <fcntl.h>
#include <sys/stat.h>
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
    auto directory = path.parent_path();
    if (directory.empty()) directory = ".";
    const UniqueFd parent(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!parent || ::fsync(parent.get()) != 0) return failed("cannot sync", directory);
    return {};
}

} // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return failed("cannot open", path);
    std::string content;
    while (true) {
        char chunk[16384];
        const auto count = ::read(file.get(), chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("cannot read", path);
        if (count == 0) return content;
        content.append(chunk, static_cast<std::size_t>(count));
        if (content.size() > limit)
            return fail(ErrorCode::InvalidSpec,
                        path.string() + " is larger than " + std::to_string(limit) + " bytes");
    }
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
