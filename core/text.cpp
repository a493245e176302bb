#include "core/text.h"

#include <cstdint>

namespace p2prc::text {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD"; // U+FFFD

struct Character {
    char32_t point = 0;
    std::size_t bytes = 1;
    bool valid = false; // otherwise one byte that begins no character
};

// The character at the beginning of `rest`, which is not empty. The table of RFC 3629 section 4.
Character first(std::string_view rest) noexcept {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(rest[at]); };
    const auto lead = byte(0);
    if (lead < 0x80) return {lead, 1, true};
    const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || rest.size() < bytes) return {};
    char32_t point = lead & (0x7fU >> bytes);
    for (std::size_t at = 1; at < bytes; ++at) {
        if ((byte(at) & 0xc0U) != 0x80U) return {};
        point = point << 6U | (byte(at) & 0x3fU);
    }
    const bool overlong = (bytes == 3 && point < 0x800) || (bytes == 4 && point < 0x10000);
    const bool surrogate = point >= 0xd800 && point < 0xe000;
    if (overlong || surrogate || point > 0x10ffff) return {};
    return {point, bytes, true};
}

bool is_bus_character(const Character& character) noexcept {
    const auto point = character.point;
    return character.valid && point != 0 && (point < 0xfdd0 || point > 0xfdef) &&
           (point & 0xfffeU) != 0xfffeU;
}

bool is_control(char32_t point) noexcept {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 || point == 0x2029 ||
           // Unicode Standard Annex 9, section 2: embeddings, overrides, isolates and marks.
           point == 0x061c || point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

// How much of the beginning is printable ASCII, which is fit for everything here: mostly all of it.
std::size_t printable(std::string_view text) noexcept {
    std::size_t size = 0;
    while (size < text.size() && text[size] >= 0x20 && text[size] < 0x7f)
        ++size;
    return size;
}

template <class Accept>
bool all(std::string_view text, Accept accept) noexcept {
    while (true) {
        text.remove_prefix(printable(text));
        if (text.empty()) return true;
        const auto character = first(text);
        if (!accept(character)) return false;
        text.remove_prefix(character.bytes);
    }
}

template <class Accept>
std::string replaced(std::string_view text, Accept accept) {
    std::string result;
    result.reserve(text.size());
    while (true) {
        const auto begin = text.substr(0, printable(text));
        result += begin;
        text.remove_prefix(begin.size());
        if (text.empty()) return result;
        const auto character = first(text);
        result += accept(character) ? text.substr(0, character.bytes) : replacement;
        text.remove_prefix(character.bytes);
    }
}

} // namespace

bool fits_bus(std::string_view text) noexcept {
    return all(text, is_bus_character);
}

std::string for_bus(std::string_view text) {
    return replaced(text, is_bus_character);
}

bool has_controls(std::string_view text) noexcept {
    return !all(text,
                [](const Character& character) { return !character.valid || !is_control(character.point); });
}

std::string for_terminal(std::string_view text, Lines lines) {
    return replaced(text, [lines](const Character& character) {
        if (character.point == '\t' || (character.point == '\n' && lines == Lines::Keep)) return true;
        return is_bus_character(character) && !is_control(character.point);
    });
}

std::string_view cut(std::string_view text, std::size_t bytes) noexcept {
    if (text.size() <= bytes) return text;
    // Back over the bytes that continue a character, of which there are at most three (RFC 3629).
    std::size_t end = bytes;
    while (end > 0 && bytes - end < 3 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U)
        --end;
    return text.substr(0, end);
}

std::string excerpt(std::string_view text, std::size_t bytes) {
    const auto kept = cut(text, bytes);
    auto shown = for_terminal(kept);
    if (kept.size() < text.size()) shown += "...";
    return shown;
}

} // namespace p2prc::text
