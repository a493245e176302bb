#include "edge/sni/server_name.h"

#include <algorithm>

namespace p2prc::edge {
namespace {

bool is_digit(char character) noexcept {
    return character >= '0' && character <= '9';
}

} // namespace

std::optional<std::string> normalize_server_name(std::string_view name) {
    if (name.ends_with('.')) name.remove_suffix(1);
    if (name.empty() || name.size() > 253) return std::nullopt;
    std::string result;
    result.reserve(name.size());
    std::size_t label = 0;
    for (char character : name) {
        if (character >= 'A' && character <= 'Z') character = static_cast<char>(character - 'A' + 'a');
        if (character == '.') {
            if (label == 0) return std::nullopt;
            label = 0;
        } else {
            const bool allowed = (character >= 'a' && character <= 'z') || is_digit(character) ||
                                 character == '-' || character == '_';
            if (!allowed || ++label > 63) return std::nullopt;
        }
        result.push_back(character);
    }
    if (label == 0) return std::nullopt;
    const std::string_view last = std::string_view(result).substr(result.size() - label);
    if (std::ranges::all_of(last, is_digit)) return std::nullopt;
    return result;
}

} // namespace p2prc::edge
