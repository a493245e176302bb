// What a machine has and has left: read from the kernel's files, for the choice of a node.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Where the kernel shows these, and where processes keep data. Tests name other directories.
struct HardwarePaths {
    std::string proc = "/proc";
    std::string sys = "/sys";
    std::string data = "/var/lib/p2prc-data";
};

// {memory_available_bytes, disk_available_bytes, cpu_pressure, memory_pressure, io_pressure, gpus,
// on_battery}; what cannot be found out is null. A pressure is the percentage of the last minute in which
// something waited (PSI, "some avg60").
nlohmann::json measure_hardware(const HardwarePaths& paths = {});

// What was measured now, with what was reported before in place of what differs little: by less than a
// twentieth of the memory, a twentieth of the free disk space, ten percentage points of pressure. All nodes
// are told of each change.
nlohmann::json steadied(nlohmann::json now, const nlohmann::json& reported);

} // namespace p2prc::daemon
