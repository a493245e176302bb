#include "connector/command_line.h"

#include "net/command_line.h"

#include <CLI/CLI.hpp>

namespace p2prc::connector {

std::expected<CommandLine, int> parse_command_line(int argc, const char* const* argv) {
    CLI::App app{
        "The home end of p2prc's tunnel: keeps a session with the fleet's edge and carries clients to "
        "local ports.",
        "p2prc-connector"};
    app.footer("See p2prc-connector(8).");
    CommandLine line;
    app.add_option("--state", line.state, "its key and certificates; default: " + line.state)
        ->type_name("DIR");
    app.add_option("--mappings", line.mappings,
                   "edges and mappings from a file, without p2prcd; SIGHUP reads it again")
        ->type_name("FILE");
    app.add_flag("--fingerprint", line.fingerprint,
                 "prints the fingerprint of its key, making one where there is none, and ends");
    // A token may begin with a dash (RFC 4648 section 5): from METHOD on nothing is an option.
    auto* hook = app.add_subcommand("acme-hook", "METHOD TYPE IDENT TOKEN AUTH: for the ACME client");
    hook->prefix_command();
    if (const auto status = net::parse_command_line(app, argc, argv)) return std::unexpected(*status);
    if (hook->parsed()) {
        line.acme_hook = hook->remaining();
        if (line.acme_hook.size() != 5)
            return std::unexpected(net::report_usage(app, "acme-hook needs five arguments"));
    }
    return line;
}

} // namespace p2prc::connector
