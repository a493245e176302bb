// Reading and writing the big-endian integers of a DNS message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace p2prc::edge::dns {

inline std::uint16_t get16(const std::uint8_t* at) noexcept {
    return static_cast<std::uint16_t>(at[0] << 8 | at[1]);
}
inline std::uint32_t get32(const std::uint8_t* at) noexcept {
    return static_cast<std::uint32_t>(get16(at)) << 16 | get16(at + 2);
}
inline void put16(std::uint8_t* at, std::uint32_t value) noexcept {
    at[0] = static_cast<std::uint8_t>(value >> 8);
    at[1] = static_cast<std::uint8_t>(value);
}
inline void put32(std::uint8_t* at, std::uint32_t value) noexcept {
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}
inline void append16(std::string& to, std::uint32_t value) {
    to.push_back(static_cast<char>(value >> 8));
    to.push_back(static_cast<char>(value));
}
inline void append32(std::string& to, std::uint32_t value) {
    append16(to, value >> 16);
    append16(to, value);
}
// The caller has checked that two bytes are there.
inline std::uint16_t get16(std::string_view bytes, std::size_t at) noexcept {
    return static_cast<std::uint16_t>(static_cast<std::uint8_t>(bytes[at]) << 8 |
                                      static_cast<std::uint8_t>(bytes[at + 1]));
}

} // namespace p2prc::edge::dns
