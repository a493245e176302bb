// The proof of its key that a joining machine sends: what is accepted names a key, and is good for its own
// connection alone.
#include "net/key_proof.h"

#include "tests/fuzz/require.h"

using namespace p2prc;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view proof(reinterpret_cast<const char*>(data), size);
    const auto key = net::proven_key(proof, as_bytes("this connection"));
    if (!key) return 0;
    fuzz::require(key->size() == 64);
    fuzz::require(!net::proven_key(proof, as_bytes("another connection")));
    return 0;
}
