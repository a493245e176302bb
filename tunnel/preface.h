// The 40 bytes that open a flow connection: which session it belongs to, its counter, and the proof.
//
//   0  4  "P2PF"
//   4  1  version, 1
//   5  3  zero
//   8  8  session id
//  16  8  counter, used once in a session
//  24 16  MAC over the first 24 bytes, see seal.h
#pragma once

#include "core/encoding.h"

#include <array>
#include <cstdint>
#include <optional>

namespace p2prc::tunnel {

inline constexpr std::string_view preface_magic = "P2PF";
inline constexpr std::uint8_t preface_version = 1;
inline constexpr std::size_t preface_claim_size = 24;
inline constexpr std::size_t mac_size = 16;
inline constexpr std::size_t preface_size = preface_claim_size + mac_size;

// What a flow connection claims to be. Everything sealed on the connection is bound to these bytes.
struct FlowId {
    std::uint64_t session = 0;
    std::uint64_t counter = 0;
    friend bool operator==(const FlowId&, const FlowId&) = default;
};

std::array<std::uint8_t, preface_claim_size> encode_claim(const FlowId& flow) noexcept;

// The claim of a preface, whose MAC is still to be checked; nothing when it is not 40 bytes of this version.
std::optional<FlowId> parse_preface(ByteView bytes) noexcept;

} // namespace p2prc::tunnel
