// The command line of p2prc-edge.
#pragma once

#include "net/address.h"

#include <expected>
#include <string>
#include <vector>

namespace p2prc::edge {

struct CommandLine {
    std::string config_file; // --config; empty: the default one, if it is there
    std::string routes_file;
    std::vector<net::Endpoint> listen_tls, listen_http, listen_dns;
};

// Or the exit status, if there is nothing more to do.
std::expected<CommandLine, int> parse_command_line(int argc, const char* const* argv);

} // namespace p2prc::edge
