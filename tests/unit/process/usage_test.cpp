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

TEST_F(UsageTest, OfDisksTogether) {
    std::ofstream(group / "io.stat") << "8:16 rbytes=10 wbytes=200 rios=1 wios=2 dbytes=7 dios=0\n"
                                        "8:0 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n";
    std::ofstream(group / "pids.current") << "7\n";
    const auto usage = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.io_read_bytes, 15u);
    EXPECT_EQ(usage.io_written_bytes, 200u);
    EXPECT_EQ(usage.tasks, 7u);
    EXPECT_EQ(usage.cpu_usec, 1500000u);
}

TEST_F(UsageTest, WhatAListShows) {
    std::ofstream(group / "memory.current") << "4096\n";
    std::ofstream(group / "io.stat") << "8:0 rbytes=5 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n";
    std::ofstream(group / "pids.current") << "7\n";
    const auto usage =
        BriefUsages(BriefUsages::Wanted::Both, top / "cgroup", top / "proc").of("p2prc-web.service");
    EXPECT_EQ(usage.memory_bytes, 4096u);
    EXPECT_EQ(usage.cpu_usec, 1500000u);
    EXPECT_FALSE(usage.io_read_bytes);
    EXPECT_FALSE(usage.tasks);
}

// One after the other: in the slice, in that of an owner, gone, and again in the slice.
TEST_F(UsageTest, OfAList) {
    for (const bool accounted : {true, false}) {
        const auto slice = top / (accounted ? "accounted" : "plain") / "p2prc.slice";
        for (const auto* unit : {"p2prc-a.service", "p2prc-b.service", "p2prc-attic.slice/p2prc-c.service"}) {
            fs::create_directories(slice / unit);
            std::ofstream(slice / unit / "cpu.stat") << "usage_usec 7\n";
            std::ofstream(slice / unit / "cgroup.procs") << "11\n12\n";
            if (accounted) std::ofstream(slice / unit / "memory.current") << "4096\n";
        }
        const auto resident = 20U * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
        BriefUsages usages(BriefUsages::Wanted::Both, slice.parent_path(), top / "proc");
        for (const auto* unit :
             {"p2prc-a.service", "p2prc-c.service", "p2prc-gone.service", "p2prc-b.service"}) {
            const bool there = unit != std::string_view("p2prc-gone.service");
            const auto usage = usages.of(unit);
            EXPECT_EQ(usage.cpu_usec.value_or(0), there ? 7U : 0U) << unit;
            EXPECT_EQ(usage.memory_bytes.value_or(0), !there ? 0U : accounted ? 4096U : resident) << unit;
        }
    }
}

TEST_F(UsageTest, WithAControllerForTheOwnersUnitsAlone) {
    const auto below = top / "cgroup/p2prc.slice/p2prc-attic.slice/p2prc-game.service";
    fs::create_directories(below);
    std::ofstream(below / "cpu.stat") << "usage_usec 7\n";
    std::ofstream(below / "memory.current") << "4096\n";
    BriefUsages usages(BriefUsages::Wanted::Both, top / "cgroup", top / "proc");
    const auto resident = 20U * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    EXPECT_EQ(usages.of("p2prc-web.service").memory_bytes, resident);
    EXPECT_EQ(usages.of("p2prc-game.service").memory_bytes, 4096u);
    EXPECT_EQ(usages.of("p2prc-web.service").memory_bytes, resident);
}

TEST_F(UsageTest, MemoryAlone) {
    BriefUsages usages(BriefUsages::Wanted::Memory, top / "cgroup", top / "proc");
    const auto usage = usages.of("p2prc-web.service");
    EXPECT_EQ(usage.memory_bytes, 20u * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
    EXPECT_FALSE(usage.cpu_usec);
    EXPECT_FALSE(usages.of("p2prc-gone.service").memory_bytes);
}

// Accounted for, and nothing read or written yet: not the same as not accounted for.
TEST_F(UsageTest, OfDisksThatWereNotUsed) {
    const auto before = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_FALSE(before.io_read_bytes);
    EXPECT_FALSE(before.tasks);
    std::ofstream(group / "io.stat").flush();
    const auto usage = read_usage("p2prc-web.service", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.io_read_bytes, 0u);
    EXPECT_EQ(usage.io_written_bytes, 0u);
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

TEST_F(UsageTest, InTheSliceOfAnOwner) {
    const auto below = top / "cgroup/p2prc.slice/p2prc-big\\x2dattic.slice/p2prc-game.service";
    fs::create_directories(below);
    std::ofstream(below / "pids.current") << "3\n";
    EXPECT_EQ(read_usage("p2prc-game.service", top / "cgroup", top / "proc").tasks, 3u);
    EXPECT_FALSE(read_usage("p2prc-game.service", top / "other", top / "proc").tasks);
}

TEST_F(UsageTest, OfASlice) {
    const auto slice = top / "cgroup/p2prc.slice/p2prc-den.slice";
    for (const auto* unit : {"p2prc-game.service", "p2prcd-deploy-game.service"}) {
        fs::create_directories(slice / unit);
        std::ofstream(slice / unit / "cgroup.procs") << "11\n";
    }
    std::ofstream(slice / "cgroup.procs").flush();
    std::ofstream(slice / "pids.current") << "3\n";
    const auto usage = read_slice_usage("p2prc-den.slice", top / "cgroup", top / "proc");
    EXPECT_EQ(usage.tasks, 3u);
    EXPECT_EQ(usage.memory_bytes, 20u * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)));
    std::ofstream(slice / "memory.current") << "4096\n";
    EXPECT_EQ(read_slice_usage("p2prc-den.slice", top / "cgroup", top / "proc").memory_bytes, 4096u);
    EXPECT_FALSE(read_slice_usage("p2prc-attic.slice", top / "cgroup", top / "proc").tasks);
}

TEST_F(UsageTest, NothingOfAUnitThatIsGone) {
    const auto usage = read_usage("p2prc-other.service", top / "cgroup", top / "proc");
    EXPECT_FALSE(usage.memory_bytes);
    EXPECT_FALSE(usage.cpu_seconds);
}

} // namespace
} // namespace p2prc::process
