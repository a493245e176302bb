#include "daemon/boot_record.h"

#include "net/file.h"

#include <fstream>

namespace p2prc::daemon {

std::string read_ended_boot(const std::filesystem::path& file) {
    std::ifstream stream(file);
    std::string boot;
    stream >> boot;
    return boot;
}

Result<void> write_ended_boot(const std::filesystem::path& file, const std::string& boot) {
    return net::write_file_atomically(file, boot + "\n");
}

} // namespace p2prc::daemon
