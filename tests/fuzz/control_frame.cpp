// What a peer sends on the control link: any bytes, cut anywhere, are frames or an error, and what is read
// can be written again.
#include "link/feed.h"
#include "link/frame.h"

#include <nlohmann/json.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t step = data[0] + 1U;
    p2prc::ByteView rest(data + 1, size - 1);
    p2prc::link::FrameReader reader;
    p2prc::link::FeedReader feed;
    while (!rest.empty()) {
        const auto part = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(part.size());
        reader.feed(part);
        while (true) {
            const auto document = reader.next();
            if (!document) return 0;
            if (!*document) break;
            (void)p2prc::link::encode_frame(**document);
            (void)feed.take(**document);
        }
    }
    return 0;
}
