// Session frames: the same frames come out however the bytes are cut.
#include "tunnel/session_frame.h"

#include <cstdlib>

using namespace p2prc;

namespace {

std::size_t count(ByteView input, std::size_t cut) {
    tunnel::FrameReader reader;
    std::size_t frames = 0;
    while (true) {
        const ByteView piece = input.first(std::min(cut, input.size()));
        input = input.subspan(piece.size());
        reader.feed(piece);
        while (true) {
            const auto frame = reader.next();
            if (!frame) return frames;
            if (!*frame) break;
            ++frames;
            tunnel::parse_hello((*frame)->payload);
            tunnel::parse_want((*frame)->payload);
            tunnel::parse_hold((*frame)->payload);
        }
        if (input.empty()) return frames;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input(data, size);
    if (count(input, size) != count(input, 1)) std::abort();
    return 0;
}
