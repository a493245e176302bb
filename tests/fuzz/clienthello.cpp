// Any bytes, in any two segments: the reader must not fail, and both ways of feeding it must agree.
#include "edge/sni/client_hello.h"

#include <algorithm>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using p2prc::edge::ClientHelloReader;
    const p2prc::ByteView bytes(data, size);
    ClientHelloReader whole;
    const auto at_once = whole.read(bytes);
    ClientHelloReader parts;
    auto status = ClientHelloReader::Status::NeedMore;
    const std::size_t step = size > 4096 ? 997 : 1;
    for (std::size_t have = 0; have < size && status == ClientHelloReader::Status::NeedMore;) {
        have = std::min(size, have + step);
        status = parts.read(bytes.first(have));
    }
    if (size > 0 && status != at_once) std::abort();
    if (at_once == ClientHelloReader::Status::Ready &&
        (whole.consumed() > size || whole.hello().name != parts.hello().name ||
         whole.hello().name.size() > 253))
        std::abort();
    return 0;
}
