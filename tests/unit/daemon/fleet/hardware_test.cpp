#include "daemon/fleet/hardware.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace p2prc::daemon {
namespace {

using Json = nlohmann::json;
namespace fs = std::filesystem;

class HardwareTest : public testing::Test {
  protected:
    HardwareTest() {
        const auto root = directory_.path();
        paths_ = {root / "proc", root / "sys", root / "data" / "below"};
        write("proc/meminfo", "MemTotal:        8000000 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n");
        write("proc/pressure/cpu",
              "some avg10=9.00 avg60=12.60 avg300=1.00 total=1\nfull avg10=0.00 avg60=3.00\n");
    }
    void write(const std::string& name, const std::string& text) {
        const auto path = directory_.path() / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    }
    Json measured() const { return measure_hardware(paths_); }

    net::TemporaryDirectory directory_;
    HardwarePaths paths_;
};

TEST_F(HardwareTest, WhatTheKernelDoesNotShowIsNotKnown) {
    const auto info = measured();
    EXPECT_EQ(info["memory_available_bytes"], 4000000ULL * 1024);
    EXPECT_GT(info["disk_available_bytes"], 0) << "of the directory above, while there is none yet";
    EXPECT_EQ(info["cpu_pressure"], 13.0);
    EXPECT_TRUE(info["memory_pressure"].is_null());
    EXPECT_TRUE(info["io_pressure"].is_null());
    EXPECT_EQ(info["gpus"], Json::array());
    EXPECT_EQ(info["on_battery"], false);
    write("proc/meminfo", "MemAvailable: much\n");
    write("proc/pressure/cpu", "some avg60=nan\n");
    EXPECT_TRUE(measured()["memory_available_bytes"].is_null());
    EXPECT_TRUE(measured()["cpu_pressure"].is_null());
}

TEST_F(HardwareTest, GraphicsProcessorsThatCompute) {
    write("sys/class/drm/card0/device/uevent", "DRIVER=amdgpu\n");
    write("sys/class/drm/renderD128/device/uevent",
          "DRIVER=amdgpu\nPCI_ID=1002:73BF\nPCI_SLOT_NAME=0000:03:00.0\n");
    write("sys/class/drm/renderD129/device/uevent", "DRIVER=vgem\n");
    write("sys/class/drm/renderD130/device/uevent",
          "DRIVER=nvidia\nPCI_ID=10DE:2504\nPCI_SLOT_NAME=0000:01:00.0\n");
    write("proc/driver/nvidia/gpus/0000:01:00.0/information",
          "Model: \t\t NVIDIA GeForce RTX 3060\nIRQ: 7\n");
    EXPECT_EQ(measured()["gpus"], (Json{"NVIDIA GeForce RTX 3060", "amdgpu 1002:73BF"}));
    for (int i = 200; i < 300; ++i)
        write("sys/class/drm/renderD" + std::to_string(i) + "/device/uevent",
              "DRIVER=" + std::string(1000, 'x'));
    EXPECT_EQ(measured()["gpus"].size(), 16U);
    EXPECT_LT(measured()["gpus"].dump().size(), 2048U);
}

TEST_F(HardwareTest, OnlyALaptopWithoutMainsRunsOnItsBattery) {
    const std::string supply = "sys/class/power_supply/";
    write(supply + "mouse/type", "Battery\n");
    write(supply + "mouse/scope", "Device\n");
    write(supply + "mouse/status", "Discharging\n");
    EXPECT_EQ(measured()["on_battery"], false);
    write(supply + "BAT0/type", "Battery\n");
    write(supply + "BAT0/status", "Discharging\n");
    EXPECT_EQ(measured()["on_battery"], true);
    write(supply + "AC/type", "Mains\n");
    write(supply + "AC/online", "1\n");
    EXPECT_EQ(measured()["on_battery"], false) << "a weak charger";
    write(supply + "AC/online", "0\n");
    EXPECT_EQ(measured()["on_battery"], true);
}

TEST(Steadied, SmallChangesAreNotReported) {
    const Json reported{{"memory_bytes", 1000},
                        {"memory_available_bytes", 500},
                        {"disk_available_bytes", 1000},
                        {"cpu_pressure", 10.0},
                        {"arch", "x86_64"}};
    Json now{{"memory_bytes", 1000},
             {"memory_available_bytes", 549},
             {"disk_available_bytes", 960},
             {"cpu_pressure", 19.0},
             {"arch", "x86_64"}};
    EXPECT_EQ(steadied(now, reported), reported);
    now = {{"memory_bytes", 1000},
           {"memory_available_bytes", 450},
           {"disk_available_bytes", 900},
           {"cpu_pressure", 20.0},
           {"arch", "aarch64"}};
    EXPECT_EQ(steadied(now, reported), now);
    now["cpu_pressure"] = nullptr;
    EXPECT_EQ(steadied(now, reported), now);
    EXPECT_EQ(steadied(now, Json()), now);
    EXPECT_EQ(steadied(now, Json{{"cpu_pressure", "x"}}), now);
}

} // namespace
} // namespace p2prc::daemon
