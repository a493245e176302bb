#include "tunnel/preface.h"

#include "tunnel/wire.h"

#include <algorithm>

namespace p2prc::tunnel {

std::array<std::uint8_t, preface_claim_size> encode_claim(const FlowId& flow) noexcept {
    std::array<std::uint8_t, preface_claim_size> out{};
    std::ranges::copy(as_bytes(preface_magic), out.begin());
    out[4] = preface_version;
    put_at(&out[8], flow.session);
    put_at(&out[16], flow.counter);
    return out;
}

std::optional<FlowId> parse_preface(ByteView bytes) noexcept {
    if (bytes.size() != preface_size) return std::nullopt;
    FlowId flow{get_at<std::uint64_t>(&bytes[8]), get_at<std::uint64_t>(&bytes[16])};
    if (!std::ranges::equal(encode_claim(flow), bytes.first(preface_claim_size))) return std::nullopt;
    return flow;
}

} // namespace p2prc::tunnel
