// A join token as somebody pastes it: whatever is accepted is written the same way again.
#include "daemon/fleet/token.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto token = p2prc::daemon::decode_token({reinterpret_cast<const char*>(data), size});
    if (!token) return 0;
    const auto again = p2prc::daemon::encode_token(*token);
    if (again && p2prc::daemon::decode_token(*again) != *token) std::abort();
    return 0;
}
