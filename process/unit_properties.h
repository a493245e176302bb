// What the units that run something for a process have in common: whose they are, and as whom, with what and
// in which sandbox they run.
#pragma once

#include "process/transient_unit.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace p2prc::process {

inline constexpr std::uint64_t second = 1'000'000; // systemd counts in microseconds

class Properties {
  public:
    void add(std::string name, std::string signature, nlohmann::json value) {
        list_.push_back({std::move(name), std::move(signature), std::move(value)});
    }
    void text(std::string name, std::string_view value) { add(std::move(name), "s", std::string(value)); }
    void flag(std::string name, bool value) { add(std::move(name), "b", value); }
    void number(std::string name, std::uint64_t value) { add(std::move(name), "t", value); }
    // In the place of what may have been said before.
    void replace(std::string name, std::string signature, nlohmann::json value) {
        std::erase_if(list_, [&name](const UnitProperty& property) { return property.name == name; });
        add(std::move(name), std::move(signature), std::move(value));
    }
    std::vector<UnitProperty> take() { return std::move(list_); }

  private:
    std::vector<UnitProperty> list_;
};

// The names are checked where a record is taken in; here they become lines of a unit and paths.
Result<void> check_names(const ProcessRecord& record);

void add_identity(Properties& out, const ProcessRecord& record, std::string_view node);
void add_environment(Properties& out, const std::map<std::string, std::string>& environment);
bool has_low_port(const ProcessRecord& record);
// What no process needs, whoever it runs as.
void add_common_sandbox(Properties& out);
// A dynamic user's sandbox: writes to its data directory and nowhere else.
void add_strict_sandbox(Properties& out, const ProcessRecord& record, Origin origin);
// As whom, with what and in which sandbox a command of the process runs.
void add_execution(Properties& out, const ProcessRecord& record, Origin origin);

// What keeps `record`'s process to its ports where systemd has programs of its own for that.
std::vector<UnitProperty> port_properties(const ProcessRecord& record);

} // namespace p2prc::process
