#include "net/cgroups.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace p2prc::net {
namespace {

TEST(Cgroups, MemoryIsLimitedWhereThereIsAController) {
    const TemporaryDirectory root;
    EXPECT_FALSE(limits_memory(root.path()));
    const auto write = [&](const char* controllers) {
        std::ofstream(root.path() / "cgroup.controllers") << controllers;
    };
    write("cpuset cpu io pids\n");
    EXPECT_FALSE(limits_memory(root.path()));
    write("cpuset cpu io memory_x pids\n");
    EXPECT_FALSE(limits_memory(root.path()));
    write("cpuset cpu io memory pids\n");
    EXPECT_TRUE(limits_memory(root.path()));
    write("memory\n");
    EXPECT_TRUE(limits_memory(root.path()));
}

TEST(Cgroups, ProcessorTimeAndTasksAreLimitedWhereThereAreControllers) {
    const TemporaryDirectory root;
    EXPECT_FALSE(limits_cpu(root.path()));
    EXPECT_FALSE(limits_tasks(root.path()));
    std::ofstream(root.path() / "cgroup.controllers") << "cpuset io memory pids\n";
    EXPECT_FALSE(limits_cpu(root.path()));
    EXPECT_TRUE(limits_tasks(root.path()));
    std::ofstream(root.path() / "cgroup.controllers") << "cpuset cpu io memory\n";
    EXPECT_TRUE(limits_cpu(root.path()));
    EXPECT_FALSE(limits_tasks(root.path()));
}

TEST(Cgroups, PortsAreConfinedByASystemdWithBpf) {
    EXPECT_TRUE(confines_ports("+PAM +BPF_FRAMEWORK -XKBCOMMON"));
    EXPECT_TRUE(confines_ports("+BPF_FRAMEWORK"));
    EXPECT_FALSE(confines_ports("+PAM -BPF_FRAMEWORK -XKBCOMMON"));
    EXPECT_FALSE(confines_ports(""));
}

} // namespace
} // namespace p2prc::net
