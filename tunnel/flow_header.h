// What the edge says about a client on a flow connection: which mapping it wants, and its address.
//
// On the wire it is a PROXY protocol v2 header whose TLV names the mapping only by its id. The connector
// looks up the target in the table of its own p2prcd, so an edge cannot ask for anything else.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "core/records.h"
#include "net/address.h"

#include <cstdint>
#include <string>

namespace p2prc::tunnel {

inline constexpr std::uint8_t tlv_mapping = 0xE0; // mapping id, u32
inline constexpr std::uint8_t tlv_flow = 0xE1;    // flags, u8
inline constexpr std::uint8_t flow_sealed = 0x01; // TLS on the flow connection follows

// A sealed frame holds at most this much.
inline constexpr std::size_t max_flow_header = 1024;

struct FlowHeader {
    std::uint32_t mapping_id = 0;
    bool sealed = false;
    net::Endpoint client;
    net::Endpoint server;    // where the client connected to
    std::string server_name; // of its ClientHello; for information
    friend bool operator==(const FlowHeader&, const FlowHeader&) = default;
};

Result<Bytes> encode_flow_header(const FlowHeader& header);
// Flags of later versions are InvalidSpec: they change what the bytes that follow mean.
Result<FlowHeader> parse_flow_header(ByteView bytes);

// Whether a mapping's bytes are ciphertext on their own, end to end between client and home.
bool may_travel_unsealed(TlsMode mode) noexcept;

} // namespace p2prc::tunnel
