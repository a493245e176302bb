#include "connector/program.h"

int main(int argc, char** argv) {
    return p2prc::connector::run_program(argc, argv);
}
