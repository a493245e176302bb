// What the ACME client calls for each challenge: publishes the DNS-01 value and waits until the zone's
// servers say it.
#pragma once

#include <string>
#include <vector>

namespace p2prc::connector {

// `arguments`: METHOD (begin, done, failed), TYPE, IDENT, TOKEN, AUTH, as uacme(1) passes them. The exit
// status: 0 accepts the challenge; it is declined when it is not dns-01, or when the value is not seen in
// time.
int run_acme_hook(const std::vector<std::string>& arguments);

} // namespace p2prc::connector
