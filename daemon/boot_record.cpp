#include "daemon/boot_record.h"

#include "net/fd.h"

#include <fcntl.h>

#include <cerrno>
#include <fstream>

namespace p2prc::daemon {

std::string read_ended_boot(const std::filesystem::path& file) {
    std::ifstream stream(file);
    std::string boot;
    stream >> boot;
    return boot;
}

Result<void> write_ended_boot(const std::filesystem::path& file, const std::string& boot) {
    const auto draft = file.string() + ".new";
    const net::UniqueFd fd(open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    const auto line = boot + "\n";
    const bool written = fd &&
                         write(fd.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                         fdatasync(fd.get()) == 0 && rename(draft.c_str(), file.c_str()) == 0;
    if (!written) return std::unexpected(system_error("cannot write " + file.string(), errno));
    return {};
}

} // namespace p2prc::daemon
