// p2prc-edge: the public side of a fleet.
#include "edge/config.h"
#include "edge/program.h"

#include <fmt/format.h>

#include <cstdio>

int main(int argc, char** argv) {
    using namespace p2prc;
    const auto report = [](const Error& error) {
        fmt::print(stderr, "p2prc-edge: {}\n", error.message);
        if (!error.hint.empty()) fmt::print(stderr, "  {}\n", error.hint);
    };
    const auto line = edge::parse_command_line(argc, argv);
    if (!line) {
        report(line.error());
        return 2;
    }
    if (line->help) {
        std::fputs(edge::usage().data(), stdout);
        return 0;
    }
    if (line->version) {
        std::puts("p2prc-edge " P2PRC_VERSION);
        return 0;
    }
    if (const auto done = edge::run_program(*line); !done) {
        report(done.error());
        return error_info(done.error().code).exit_status;
    }
    return 0;
}
