// Big-endian integers in byte strings, for the tunnel's own formats.
#pragma once

#include "core/encoding.h"

#include <concepts>

namespace p2prc::tunnel {

template <std::unsigned_integral T>
void put(Bytes& out, T value) {
    for (int shift = static_cast<int>(sizeof(T) - 1) * 8; shift >= 0; shift -= 8)
        out.push_back(static_cast<std::uint8_t>(value >> shift));
}

template <std::unsigned_integral T>
void put_at(std::uint8_t* out, T value) noexcept {
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out[i] = static_cast<std::uint8_t>(value >> ((sizeof(T) - 1 - i) * 8));
}

// The caller has checked that sizeof(T) bytes are there.
template <std::unsigned_integral T>
T get_at(const std::uint8_t* in) noexcept {
    T value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        value = static_cast<T>(static_cast<std::uint64_t>(value) << 8 | in[i]);
    return value;
}

} // namespace p2prc::tunnel
