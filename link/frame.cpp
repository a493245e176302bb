#include "link/frame.h"

#include <nlohmann/json.hpp>

namespace p2prc::link {
namespace {

constexpr std::size_t header_size = 4;

// Whether arrays and objects nest no deeper than allowed: printing and comparing a document recurse.
bool shallow(std::string_view text) {
    std::size_t depth = 0;
    bool in_string = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (in_string) {
            if (c == '\\') ++i;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > max_frame_depth) return false;
        } else if ((c == ']' || c == '}') && depth > 0) {
            --depth;
        }
    }
    return true;
}

} // namespace

Result<Bytes> encode_frame(const Json& document) {
    const auto text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
    const auto size = text.size();
    if (size > max_frame)
        return fail(ErrorCode::InvalidSpec, "a message of " + std::to_string(size) + " bytes is too large",
                    "at most " + std::to_string(max_frame) + " bytes fit");
    return frame_of(text);
}

Bytes frame_of(std::string_view text) {
    const auto size = text.size();
    Bytes frame;
    frame.reserve(header_size + size);
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        frame.push_back(static_cast<std::uint8_t>(size >> shift));
    frame.insert(frame.end(), text.begin(), text.end());
    return frame;
}

void FrameReader::feed(ByteView bytes) {
    if (used_ > 0) buffer_.erase(0, std::exchange(used_, 0));
    buffer_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::optional<Json>> FrameReader::next() {
    const std::string_view rest = std::string_view(buffer_).substr(used_);
    if (rest.size() < header_size) return std::optional<Json>();
    std::size_t size = 0;
    for (std::size_t i = 0; i < header_size; ++i)
        size = size << 8 | static_cast<std::uint8_t>(rest[i]);
    if (size == 0 || size > max_frame)
        return fail(ErrorCode::InvalidSpec, "a frame of " + std::to_string(size) + " bytes");
    if (rest.size() - header_size < size) return std::optional<Json>();
    const auto text = rest.substr(header_size, size);
    if (!shallow(text)) return fail(ErrorCode::InvalidSpec, "a frame that nests too deeply");
    auto document = Json::parse(text, nullptr, false);
    if (document.is_discarded() || !document.is_object())
        return fail(ErrorCode::InvalidSpec, "a frame that is no JSON object");
    used_ += header_size + size;
    last_size_ = size;
    // A link is silent most of the time, and needs no buffer then.
    if (used_ == buffer_.size()) {
        std::string().swap(buffer_);
        used_ = 0;
    }
    return std::optional(std::move(document));
}

} // namespace p2prc::link
