// One question to one process: is it ready, is it healthy.
#pragma once

#include "core/process_spec.h"
#include "net/address.h"
#include "process/systemd.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>

namespace p2prc::process {

struct ProbeAnswer {
    enum class Verdict {
        Good,
        Bad,
        Unknown // it could not be asked, and that is not its fault
    };
    Verdict verdict = Verdict::Unknown;
    std::string words = {}; // what it answered, for people

    bool good() const noexcept { return verdict == Verdict::Good; }
    bool bad() const noexcept { return verdict == Verdict::Bad; }
};

// Within this time an HTTP response must begin.
inline constexpr std::chrono::seconds probe_http_timeout{2};

// One GET; a status of 200-399 is good. `groups`: whose sockets may answer there, as in PortTarget: the port
// may have changed hands since it was looked for.
boost::asio::awaitable<ProbeAnswer> probe_http(net::Endpoint endpoint, std::set<std::uint64_t> groups,
                                               std::string path,
                                               std::chrono::milliseconds timeout = probe_http_timeout);

// The last line that `unit` has written since `since`, in microseconds since 1970; empty: none.
using LastLine = std::function<boost::asio::awaitable<std::string>(std::string unit, std::uint64_t since)>;

// Runs `unit` (probe_unit()) of process `process`, or of its turn_name(), as a part of `share`; exit status 0
// is good. `last_line` may be empty.
boost::asio::awaitable<ProbeAnswer> probe_command(Systemd& systemd, std::string process, TransientUnit unit,
                                                  JobShare share, LastLine last_line);

} // namespace p2prc::process
