#include "tunnel/session_frame.h"

#include "tunnel/wire.h"

#include <fmt/format.h>

namespace p2prc::tunnel {
namespace {

constexpr std::size_t frame_header = 3;

} // namespace

Bytes encode_frame(FrameType type, ByteView payload) {
    Bytes out;
    out.reserve(frame_header + payload.size());
    put(out, static_cast<std::uint16_t>(payload.size()));
    put(out, static_cast<std::uint8_t>(type));
    out.insert(out.end(), payload.begin(), payload.end());
    return out;
}

Bytes encode_hello(std::optional<std::uint64_t> session) {
    Bytes payload;
    put(payload, session_version);
    if (session) put(payload, *session);
    return encode_frame(FrameType::Hello, payload);
}

Bytes encode_want(std::uint32_t count) {
    Bytes payload;
    put(payload, count);
    return encode_frame(FrameType::Want, payload);
}

Bytes encode_hold(Hold hold) {
    Bytes payload;
    put(payload, hold.mapping);
    put(payload, static_cast<std::uint32_t>(hold.time.count()));
    return encode_frame(FrameType::Hold, payload);
}

std::optional<Hello> parse_hello(ByteView payload) noexcept {
    if (payload.empty()) return std::nullopt;
    Hello hello{payload[0], 0};
    if (payload.size() >= 9) hello.session = get_at<std::uint64_t>(&payload[1]);
    return hello;
}

std::optional<std::uint32_t> parse_want(ByteView payload) noexcept {
    if (payload.size() < 4) return std::nullopt;
    return get_at<std::uint32_t>(payload.data());
}

std::optional<Hold> parse_hold(ByteView payload) noexcept {
    if (payload.size() < 8) return std::nullopt;
    return Hold{get_at<std::uint32_t>(payload.data()),
                std::chrono::milliseconds(get_at<std::uint32_t>(&payload[4]))};
}

void FrameReader::feed(ByteView bytes) {
    if (start_ > 0) {
        buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(start_));
        start_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<SessionFrame>> FrameReader::next() {
    const ByteView rest = ByteView(buffer_).subspan(start_);
    if (rest.size() < frame_header) return std::nullopt;
    const std::size_t length = get_at<std::uint16_t>(rest.data());
    if (length > max_frame_payload)
        return fail(ErrorCode::Failed, fmt::format("a session frame of {} bytes, at most {} are allowed",
                                                   length, max_frame_payload));
    if (rest.size() < frame_header + length) return std::nullopt;
    const ByteView payload = rest.subspan(frame_header, length);
    start_ += frame_header + length;
    return SessionFrame{rest[2], Bytes(payload.begin(), payload.end())};
}

} // namespace p2prc::tunnel
