#include "daemon/fleet/hardware.h"

#include "core/json_members.h"
#include "core/text.h"

#include <nlohmann/json.hpp>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t most_gpus = 16;
constexpr std::size_t longest_gpu = 100;

std::string first_line_of(const fs::path& file) {
    std::ifstream stream(file);
    std::string line;
    std::getline(stream, line);
    return line;
}

// The value of "KEY<separator> VALUE" in a file of such lines.
std::string value_in(const fs::path& file, std::string_view key) {
    std::ifstream stream(file);
    for (std::string line; std::getline(stream, line);) {
        if (!line.starts_with(key)) continue;
        const auto begin = line.find_first_not_of(" \t", key.size());
        return begin == std::string::npos ? "" : line.substr(begin);
    }
    return {};
}

// Names in a directory, in their order, so that nothing changes by itself.
std::vector<fs::path> entries_of(const fs::path& directory) {
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
        entries.push_back(it->path());
    std::ranges::sort(entries);
    return entries;
}

// MemAvailable of proc_meminfo(5): what a new program can have without swapping.
Json memory_available(const HardwarePaths& paths) {
    std::istringstream text(value_in(paths.proc + "/meminfo", "MemAvailable:"));
    std::uint64_t kib = 0;
    return text >> kib && kib <= (UINT64_MAX >> 10U) ? Json(kib << 10U) : Json(nullptr);
}

// What a user other than root can have where data lies, or, before the first process has any, where it will.
Json disk_available(const HardwarePaths& paths) {
    for (fs::path path = paths.data;; path = path.parent_path()) {
        struct statvfs system{};
        if (::statvfs(path.c_str(), &system) == 0)
            return static_cast<std::uint64_t>(system.f_bavail) * system.f_frsize;
        if (!path.has_relative_path()) return nullptr;
    }
}

// "some avg10=0.00 avg60=1.53 avg300=..."; Linux 4.20 and later, unless it is switched off (psi=0).
Json pressure(const HardwarePaths& paths, const char* of) {
    std::istringstream words(value_in(paths.proc + "/pressure/" + of, "some"));
    constexpr std::string_view key = "avg60=";
    for (std::string word; words >> word;) {
        if (!word.starts_with(key)) continue;
        std::istringstream number(word.substr(key.size()));
        double percent = 0;
        if (number >> percent && percent >= 0 && percent <= 100) return std::round(percent);
    }
    return nullptr;
}

// Drivers whose render nodes draw in software, or for the screen of a virtual machine.
constexpr std::array no_gpus{std::string_view("vgem"), std::string_view("vkms"),
                             std::string_view("virtio_gpu"), std::string_view("virtio-pci")};

// A render node is what programs compute with; cards that only show a screen have none.
Json gpus(const HardwarePaths& paths) {
    std::vector<std::string> found;
    std::set<std::string> named; // PCI addresses
    // The driver of NVIDIA tells the model, and has a render node only with nvidia-drm.
    for (const auto& entry : entries_of(paths.proc + "/driver/nvidia/gpus")) {
        named.insert(entry.filename().string());
        const auto model = value_in(entry / "information", "Model:");
        found.push_back(model.empty() ? "nvidia" : model);
    }
    for (const auto& entry : entries_of(paths.sys + "/class/drm")) {
        if (!entry.filename().string().starts_with("renderD")) continue;
        const auto event = entry / "device" / "uevent";
        const auto driver = value_in(event, "DRIVER="), id = value_in(event, "PCI_ID=");
        if (driver.empty() || std::ranges::find(no_gpus, driver) != no_gpus.end()) continue;
        if (named.contains(value_in(event, "PCI_SLOT_NAME="))) continue;
        found.push_back(id.empty() ? driver : driver + " " + id);
    }
    if (found.size() > most_gpus) found.resize(most_gpus);
    for (auto& gpu : found)
        gpu = text::excerpt(gpu, longest_gpu);
    return found;
}

// Of a laptop: no mains, and its battery is being emptied. A mouse has a battery, too: its scope is Device.
Json on_battery(const HardwarePaths& paths) {
    bool discharging = false;
    for (const auto& entry : entries_of(paths.sys + "/class/power_supply")) {
        const auto type = first_line_of(entry / "type");
        if (first_line_of(entry / "scope") == "Device") continue;
        if ((type == "Mains" || type == "USB") && first_line_of(entry / "online") == "1") return false;
        if (type == "Battery" && first_line_of(entry / "status") == "Discharging") discharging = true;
    }
    return discharging;
}

// Whether what was reported still says enough.
bool near_enough(const Json& now, const Json& reported, double step) {
    return now.is_number() && reported.is_number() &&
           std::abs(now.get<double>() - reported.get<double>()) < step;
}

} // namespace

Json measure_hardware(const HardwarePaths& paths) {
    return {{"memory_available_bytes", memory_available(paths)},
            {"disk_available_bytes", disk_available(paths)},
            {"cpu_pressure", pressure(paths, "cpu")},
            {"memory_pressure", pressure(paths, "memory")},
            {"io_pressure", pressure(paths, "io")},
            {"gpus", gpus(paths)},
            {"on_battery", on_battery(paths)}};
}

Json steadied(Json now, const Json& reported) {
    if (!reported.is_object()) return now;
    const auto keep = [&](const char* key, double step) {
        const auto before = reported.find(key);
        if (before != reported.end() && near_enough(now.value(key, Json()), *before, step))
            now[key] = *before;
    };
    constexpr double part = 20, points = 10;
    keep("memory_available_bytes", json::member<double>(now, "memory_bytes") / part);
    // Of what is free: the size of the disk is not what fills up.
    keep("disk_available_bytes", json::member<double>(now, "disk_available_bytes") / part);
    for (const auto* key : {"cpu_pressure", "memory_pressure", "io_pressure"})
        keep(key, points);
    return now;
}

} // namespace p2prc::daemon
