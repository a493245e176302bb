// The frames that edge and connector exchange over a session: 2 bytes length, 1 byte type, payload.
#pragma once

#include "core/encoding.h"
#include "core/error.h"

#include <chrono>
#include <cstdint>
#include <optional>

namespace p2prc::tunnel {

inline constexpr std::string_view session_alpn = "p2prc-tunnel/1";
inline constexpr std::uint8_t session_version = 1;

// The numbers are on the wire. Unknown types are skipped: later versions may add some.
enum class FrameType : std::uint8_t {
    Hello = 1, // first from both ends: version u8, then from the edge the session id u64
    Want = 2,  // edge to connector: the wanted number of idle flow connections, u32
    Ping = 3,  // any payload up to 32 bytes, returned by a Pong
    Pong = 4,
    Goodbye = 5, // a reason for people; the sender closes
    Hold = 6,    // connector to edge: mapping id u32, milliseconds u32 for which its clients may yet wait
};

struct SessionFrame {
    std::uint8_t type = 0;
    Bytes payload;
};

inline constexpr std::size_t max_frame_payload = 4096;

Bytes encode_frame(FrameType type, ByteView payload);
Bytes encode_hello(std::optional<std::uint64_t> session);
Bytes encode_want(std::uint32_t count);
// Clients of a mapping wait for its process, which is on its way; 0 ms: they do not any more.
struct Hold {
    std::uint32_t mapping = 0;
    std::chrono::milliseconds time{0};
};
Bytes encode_hold(Hold hold);

struct Hello {
    std::uint8_t version = 0;
    std::uint64_t session = 0; // 0 from a connector
};
// Longer payloads are read as far as this version knows them.
std::optional<Hello> parse_hello(ByteView payload) noexcept;
std::optional<std::uint32_t> parse_want(ByteView payload) noexcept;
std::optional<Hold> parse_hold(ByteView payload) noexcept;

// Cuts a stream of bytes into frames.
class FrameReader {
  public:
    void feed(ByteView bytes);
    // The next whole frame; nothing when more bytes are needed; an error for a length over the limit, after
    // which the stream is of no more use.
    Result<std::optional<SessionFrame>> next();

  private:
    Bytes buffer_;
    std::size_t start_ = 0;
};

} // namespace p2prc::tunnel
