// A number and its noun: "1 task", "3 tasks".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc {

// `one` and `many` may have a verb with them: "record is", "records are".
inline std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
    std::string text = std::to_string(count);
    text += ' ';
    text += count == 1 ? one : many;
    return text;
}

} // namespace p2prc
