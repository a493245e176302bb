#include "core/data_paths.h"

namespace p2prc {

std::string data_directory(std::string_view process_name) {
    return std::string(data_root).append("/").append(process_name);
}

std::string former_data_directory(std::string_view process_name, std::uint32_t id) {
    return data_directory(process_name) + "." + std::to_string(id);
}

} // namespace p2prc
