// p2prc-connector as a program: its command line, its loop, its signals.
#pragma once

namespace p2prc::connector {

// The exit status.
int run_program(int argc, char** argv);

} // namespace p2prc::connector
