// p2prcd: runs this node's processes through systemd, holds the fleet's state, speaks D-Bus.
#include "daemon/program.h"
#include "net/log.h"

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
    using namespace p2prc;
    if (argc == 2 && std::string_view(argv[1]) == "--version") {
        std::puts("p2prcd " P2PRC_VERSION);
        return 0;
    }
    if (argc > 1) {
        std::fputs("usage: p2prcd [--version]; its settings are in /etc/p2prc/p2prcd.toml, see p2prcd(8)\n",
                   stderr);
        return 2;
    }
    const auto report = [](const Error& error) {
        net::log_error(error.hint.empty() ? error.message : error.message + "; " + error.hint);
        return 1;
    };
    const auto program = daemon::Program::create({});
    if (!program) return report(program.error());
    const auto done = (*program)->run();
    return done ? 0 : report(done.error());
}
