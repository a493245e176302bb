// p2prc-edge: the public side of a fleet.
#include "edge/command_line.h"
#include "edge/program.h"
#include "net/program.h"

int main(int argc, char** argv) {
    using namespace p2prc;
    const auto line = edge::parse_command_line(argc, argv);
    if (!line) return line.error();
    net::ignore_broken_pipes();
    net::raise_descriptor_limit();
    const auto done = edge::run_program(*line);
    return done ? 0 : net::report_failure(done.error());
}
