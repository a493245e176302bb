// p2prc-connector: the home end of the tunnel; and, as another program, the hook of its ACME client.
#include "connector/acme_hook.h"
#include "connector/command_line.h"
#include "connector/program.h"
#include "net/program.h"

int main(int argc, char** argv) {
    using namespace p2prc;
    const auto line = connector::parse_command_line(argc, argv);
    if (!line) return line.error();
    if (!line->acme_hook.empty()) return connector::run_acme_hook(line->acme_hook);
    net::ignore_broken_pipes();
    net::raise_descriptor_limit();
    const auto done = connector::run_program(*line);
    return done ? 0 : net::report_failure(done.error());
}
