// The command line of p2prc-connector.
#pragma once

#include <expected>
#include <string>
#include <vector>

namespace p2prc::connector {

struct CommandLine {
    std::string state = "/var/lib/p2prc-connector";
    std::string mappings; // a file; empty: p2prcd has them
    bool fingerprint = false;
    // METHOD TYPE IDENT TOKEN AUTH, for run_acme_hook. Empty: it is not the hook that is called.
    std::vector<std::string> acme_hook;
};

// Or the exit status, if there is nothing more to do.
std::expected<CommandLine, int> parse_command_line(int argc, const char* const* argv);

} // namespace p2prc::connector
