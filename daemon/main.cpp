// p2prcd: runs this node's processes through systemd, holds the fleet's state, speaks D-Bus.
#include "daemon/program.h"
#include "net/command_line.h"
#include "net/program.h"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace p2prc;
    CLI::App app{"Runs this node's processes through systemd and holds the fleet's state.", "p2prcd"};
    app.footer("Its settings are in /etc/p2prc/p2prcd.toml; see p2prcd(8).");
    if (const auto status = net::parse_command_line(app, argc, argv)) return *status;
    net::ignore_broken_pipes();
    const auto program = daemon::Program::create({});
    if (!program) return net::report_failure(program.error());
    const auto done = (*program)->run();
    return done ? 0 : net::report_failure(done.error());
}
