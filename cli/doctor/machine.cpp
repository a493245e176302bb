// Disk and clock of this machine.
#include "cli/doctor/check.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <set>

namespace p2prc::cli {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;

Finding check_directory(const char* path) {
    struct statvfs status{};
    Finding finding{CheckState::Ok, fmt::format("disk {}", path), "", ""};
    if (statvfs(path, &status) != 0) {
        finding.detail = "not there yet";
        return finding;
    }
    const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
    const double share = status.f_blocks == 0
                             ? 1
                             : static_cast<double>(status.f_bavail) / static_cast<double>(status.f_blocks);
    finding.detail = fmt::format("{:.0f} MiB free ({:.0f} %)", free / mebibyte, share * 100);
    // The store acknowledges nothing that it cannot write: a full disk stops every change.
    if (free < 64 * mebibyte)
        finding.state = CheckState::Fail;
    else if (share < 0.05 && free < 2048 * mebibyte)
        finding.state = CheckState::Warn;
    if (finding.state != CheckState::Ok)
        finding.fix = fmt::format("free some space on the file system of {}", path);
    return finding;
}

} // namespace

// Each file system once.
Findings check_disk(const Facts&) {
    Findings findings;
    std::set<dev_t> seen;
    for (const auto* path : {"/var/lib/p2prc", "/var/lib/p2prc-data", "/run"}) {
        struct stat status{};
        if (stat(path, &status) != 0 || seen.insert(status.st_dev).second)
            findings.push_back(check_directory(path));
    }
    return findings;
}

Findings check_clock(const Facts&) {
    timex state{};
    // adjtimex(2): TIME_ERROR means that nothing keeps this clock in step.
    const bool synchronised = adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
    if (synchronised) return {{CheckState::Ok, "clock", "synchronised by a time service", ""}};
    return {{CheckState::Warn, "clock", "the clock is not synchronised; TLS fails when it drifts",
             "timedatectl set-ntp true"}};
}

} // namespace p2prc::cli
