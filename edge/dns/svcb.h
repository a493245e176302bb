// The rules for the parameters of SVCB and HTTPS records that a parser of zone text does not check.
#pragma once

#include "core/error.h"

#include <string_view>

namespace p2prc::edge::dns {

// `rdata` in wire form: priority, target, parameters (RFC 9460 section 2.2). Keys strictly increasing,
// `mandatory` listing keys that are present, `alpn` non-empty, `no-default-alpn` with `alpn`, hints whole
// addresses.
Result<void> check_svcb(std::string_view rdata);

} // namespace p2prc::edge::dns
