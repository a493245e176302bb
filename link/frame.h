// Frames of the control link: a big-endian length of four bytes, then that many bytes of one JSON document.
//
// Pure: bytes in, documents out.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "core/json.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::link {

inline constexpr std::size_t max_frame = 1 << 20;  // of the document
inline constexpr std::size_t max_frame_depth = 64; // of nested arrays and objects

// Text that is no UTF-8 has its wrong bytes replaced. InvalidSpec when the document is larger than max_frame.
Result<Bytes> encode_frame(const Json& document);

// The same of a document that is text already, which must be JSON and fit.
Bytes frame_of(std::string_view text);

class FrameReader {
  public:
    // Appends what came from the peer. Never holds more than one frame beyond what was fed last.
    void feed(ByteView bytes);
    // The next document, or nothing when there is not a whole one. After an error, which is the peer's doing,
    // the connection cannot be used further.
    Result<std::optional<Json>> next();
    // Of the last document, in bytes.
    std::size_t last_size() const { return last_size_; }

  private:
    std::string buffer_;
    std::size_t used_ = 0;
    std::size_t last_size_ = 0;
};

} // namespace p2prc::link
