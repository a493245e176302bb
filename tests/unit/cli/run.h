// Runs the real program.
#pragma once

#include "tests/unit/net/temporary_directory.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace p2prc::test {

struct Run {
    int status = -1;
    std::string output;   // standard output
    std::string messages; // standard error
};

inline Run run(const std::string& arguments) {
    const net::TemporaryDirectory directory;
    const auto errors = directory.path() / "errors";
    const auto command = std::string(P2PRC_COMMAND) + " " + arguments + " 2>" + errors.string();
    Run result;
    std::FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer{};
    while (const auto got = std::fread(buffer.data(), 1, buffer.size(), pipe))
        result.output.append(buffer.data(), got);
    const int status = pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    std::ifstream file(errors);
    result.messages.assign(std::istreambuf_iterator<char>(file), {});
    return result;
}

} // namespace p2prc::test
