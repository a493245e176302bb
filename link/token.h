// The token that `p2prc invite` prints and `p2prc join` reads: all that a new node needs to find and trust
// the root.
#pragma once

#include "core/encoding.h"
#include "core/error.h"
#include "net/address.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::link {

struct JoinToken {
    std::vector<net::Endpoint> addresses; // of the root's edge, at most 16
    std::string zone;                     // "home.example"; may be empty
    std::string root_key;                 // fingerprint of the p2prcd that has the registry
    std::string id;                       // of the invitation, at most 255 bytes
    std::array<std::uint8_t, 32> secret{};
    std::int64_t expires = 0; // Unix seconds by the root's clock; only for messages
    friend bool operator==(const JoinToken&, const JoinToken&) = default;
};

// `p2prc1_` + base64url of a binary form that ends in four bytes of its SHA-256.
Result<std::string> encode_token(const JoinToken& token);
// InvalidSpec says whether it is no token at all, of a later version, or damaged (a character lost in
// copying). Blanks around it are ignored.
Result<JoinToken> decode_token(std::string_view text);

} // namespace p2prc::link
