#include "net/log.h"

#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace p2prc::net {
namespace {

std::atomic<LogLevel> threshold{LogLevel::Info};

// systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream that is connected to the journal; standard
// error may have been redirected since.
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    unsigned long long device = 0, inode = 0;
    return stream && std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(2, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

} // namespace

void set_log_level(LogLevel level) noexcept {
    threshold = level;
}

LogLevel log_level() noexcept {
    return threshold;
}

void log(LogLevel level, std::string_view message, LogFields fields) {
    if (level > threshold.load()) return;
    static const bool journal = stderr_is_journal();
    if (!journal) {
        std::string line(message);
        for (const auto& [name, value] : fields) {
            line.append(" ").append(name).append("=").append(value);
        }
        line.push_back('\n');
        std::fwrite(line.data(), 1, line.size(), stderr);
        return;
    }
    std::vector<std::string> texts;
    texts.push_back("MESSAGE=" + std::string(message));
    texts.push_back("PRIORITY=" + std::to_string(static_cast<int>(level)));
    for (const auto& [name, value] : fields)
        texts.push_back(std::string(name) + "=" + std::string(value));
    std::vector<iovec> vectors;
    for (auto& text : texts)
        vectors.push_back({text.data(), text.size()});
    sd_journal_sendv(vectors.data(), static_cast<int>(vectors.size()));
}

} // namespace p2prc::net
