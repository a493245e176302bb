#include "ports/bind_program.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace p2prc::ports {
namespace {

// As linux/bpf.h lays it out: code, registers (destination first), offset, immediate.
std::vector<std::string> listing(const BindRule& rule) {
    std::vector<std::string> lines;
    for (const auto& one : bind_program(rule))
        lines.push_back(
            fmt::format("{:02x} {}{} {} {}", one.code, one.dst_reg + 0, one.src_reg + 0, one.off, one.imm));
    return lines;
}

using Lines = std::vector<std::string>;

TEST(BindProgram, OwnPort) {
    EXPECT_EQ(listing({{8120}, false}), (Lines{
                                            "61 21 24 0",   // r2 = context->user_port
                                            "dc 20 0 16",   // to the host's order
                                            "b7 00 0 1",    // allowed,
                                            "15 20 2 0",    // when the kernel chooses,
                                            "15 20 1 8120", // or when it is its own
                                            "b7 00 0 0",    // else not
                                            "95 00 0 0",
                                        }));
}

TEST(BindProgram, NoPort) {
    EXPECT_EQ(listing({}),
              (Lines{"61 21 24 0", "dc 20 0 16", "b7 00 0 1", "15 20 1 0", "b7 00 0 0", "95 00 0 0"}));
}

TEST(BindProgram, SeveralPorts) {
    EXPECT_EQ(listing({{8384, 22000}, false}),
              (Lines{"61 21 24 0", "dc 20 0 16", "b7 00 0 1", "15 20 3 0", "15 20 2 8384", "15 20 1 22000",
                     "b7 00 0 0", "95 00 0 0"}));
}

TEST(BindProgram, LowPortOfAUser) {
    EXPECT_EQ(listing({{443}, true}), (Lines{"61 21 24 0", "dc 20 0 16", "b7 00 0 1", "15 20 3 0",
                                             "15 20 2 443", "35 20 1 1024", "b7 00 0 0", "95 00 0 0"}));
}

} // namespace
} // namespace p2prc::ports
