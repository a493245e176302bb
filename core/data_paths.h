// Where the data of processes is on their node.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc {

inline constexpr std::string_view data_root = "/var/lib/p2prc-data";

// "/var/lib/p2prc-data/calendar"
std::string data_directory(std::string_view process_name);
// "/var/lib/p2prc-data/calendar.7": of process 7, after another process took its name.
std::string former_data_directory(std::string_view process_name, std::uint32_t id);

} // namespace p2prc
