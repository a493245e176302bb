// Reading a request off the network: bounds-checked, without allocation, believing nothing.
#pragma once

#include "edge/dns/constants.h"
#include "edge/dns/name.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace p2prc::edge::dns {

struct Edns {
    bool present = false;
    bool dnssec_ok = false;
    std::uint8_t version = 0;
    std::uint16_t payload = 0;
};

// Where in the request the parts of a TSIG record lie (RFC 8945 section 4.2); views into the request.
struct Tsig {
    bool present = false;
    std::string_view key;       // uncompressed
    std::string_view algorithm; // uncompressed
    std::string_view time_and_fudge;
    std::uint16_t original_id = 0;
};

// A request as far as it could be read. `rcode` other than NoError: answer that, and look no further.
struct Request {
    bool drop = false; // not a request at all: no answer whatever
    Rcode rcode = Rcode::NoError;
    std::uint16_t id = 0;
    std::uint16_t flags = 0;       // as received
    std::size_t question_size = 0; // bytes from offset 12; 0: there was none that parsed
    std::size_t name_size = 0;     // of the QNAME in them
    std::uint16_t qtype = 0;
    std::uint16_t qclass = 0;
    Edns edns;
    Tsig tsig;

    // The QNAME in lower case, and where its labels begin, the root's last.
    std::array<char, max_name> lowered;
    std::array<std::uint8_t, max_labels> labels;
    std::size_t label_count = 0; // without the root

    std::string_view name_from(std::size_t label) const noexcept {
        return {lowered.data() + labels[label], name_size - labels[label]};
    }
};

// Fills `request` (reused between calls: it is large) from `bytes`.
void read_request(std::span<const std::uint8_t> bytes, Request& request) noexcept;

} // namespace p2prc::edge::dns
