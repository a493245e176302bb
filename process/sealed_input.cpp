#include "process/sealed_input.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace p2prc::process {

Result<std::shared_ptr<const net::UniqueFd>> sealed_input(const char* name, std::string_view text) {
    const auto failed = [] { return std::unexpected(system_error("cannot pass a text on", errno)); };
    auto file = std::make_shared<net::UniqueFd>(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!*file) return failed();
    while (!text.empty()) {
        const auto written = ::write(file->get(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return failed();
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    constexpr int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    if (::lseek(file->get(), 0, SEEK_SET) != 0 || ::fcntl(file->get(), F_ADD_SEALS, seals) != 0)
        return failed();
    return file;
}

} // namespace p2prc::process
