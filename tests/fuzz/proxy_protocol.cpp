// The PROXY header that a relay sends in front of a connection: no input may be read past its end, and what
// is accepted means the same when written and read again.
#include "net/proxy_protocol.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const p2prc::ByteView bytes(data, size);
    (void)p2prc::net::proxy_header_size(bytes);
    const auto header = p2prc::net::decode_proxy_header(bytes);
    if (!header) return 0;
    const auto again = p2prc::net::encode_proxy_header(*header);
    // A datagram family without addresses is written as unspecified; all else is kept.
    if (!again || (header->source && p2prc::net::decode_proxy_header(*again) != *header)) std::abort();
    return 0;
}
