// The connector's answer to a flow header: accepted, or why not.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace p2prc::tunnel {

// Numbers are on the wire.
enum class Answer : std::uint8_t {
    Accepted = 0,
    BadHeader = 1,      // the header was authentic and still could not be read
    UnknownMapping = 2, // this machine's p2prcd has no such mapping
    NeedsSealing = 3,   // the mapping may not travel unsealed
    NotSupported = 4,   // asks for a feature that this version does not have, such as sealed flows
    DialRefused = 5,    // nothing listens on the mapping's port
    DialTimeout = 6,
    NoCertificate = 7, // the connector terminates TLS and has no certificate yet
    Overloaded = 8,    // out of descriptors or memory
};

// For messages, such as "nothing listens on the mapping's port".
std::string_view answer_text(Answer answer) noexcept;
// True if it makes sense to ask the same machine again at once: the flow connection failed, not the mapping.
bool worth_another_try(Answer answer) noexcept;

inline constexpr std::size_t answer_size = 4;
std::array<std::uint8_t, answer_size> encode_answer(Answer answer) noexcept;
// Nothing when the size is wrong. A code of a later version reads as NotSupported.
std::optional<Answer> parse_answer(std::span<const std::uint8_t> bytes) noexcept;

} // namespace p2prc::tunnel
