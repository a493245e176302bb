// A join token as somebody pastes it: whatever is accepted is written the same way again.
#include "link/token.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto token = p2prc::link::decode_token({reinterpret_cast<const char*>(data), size});
    if (!token) return 0;
    const auto again = p2prc::link::encode_token(*token);
    if (again && p2prc::link::decode_token(*again) != *token) std::abort();
    return 0;
}
