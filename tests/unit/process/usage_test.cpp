#include "process/usage.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

class UsageTest : public testing::Test {
  protected:
    UsageTest() {
        group = top / "cgroup/p2prc.slice/p2prc-web.service";
        fs::create_directories(group);
        std::ofstream(group / "cgroup.procs") << "11\n12\n13\n";
        std::ofstream(group / "cpu.stat") << "usage_usec 1500000\nuser_usec 1\n";
        for (const auto* pid : {"11", "12"}) {
            fs::create_directories(top / "proc" / pid);
            std::ofstream(top / "proc" / pid / "statm") << "900 10 5 1 0 1 0\n";
        }
    }
    const net::TemporaryDirectory temporary;
    const fs::path& top = temporary.path();
    fs::path group;
};

TEST_F(UsageTest, FromTheMemoryController) {
    std::ofstream(group / "memory.current") << "4096\n";
    const auto usage = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.memory_bytes, 4096u);
    EXPECT_DOUBLE_EQ(usage.cpu_seconds.value(), 1.5);
}

TEST_F(UsageTest, FromItsProcessesWithoutAController) {
    const auto usage = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.memory_bytes, 20u * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

// A list longer than what one read brings, which may end within a number.
TEST_F(UsageTest, FromManyProcesses) {
    {
        std::ofstream list(group / "cgroup.procs");
        for (int pid = 100000; pid < 102000; ++pid)
            list << pid << '\n';
    }
    for (const auto* pid : {"100000", "100585", "101999"}) {
        fs::create_directories(top / "proc" / pid);
        std::ofstream(top / "proc" / pid / "statm") << "900 10 5 1 0 1 0\n";
    }
    const auto usage = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.memory_bytes, 30u * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
}

TEST_F(UsageTest, NothingOfAUnitThatIsGone) {
    const auto usage = read_usage("p2prc-other.service", top / "cgroup", top / "proc");
    EXPECT_FALSE(usage.memory_bytes);
    EXPECT_FALSE(usage.cpu_seconds);
}

} // namespace
} // namespace p2prc::process
