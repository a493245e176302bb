// The ACME client calls this for each challenge: it publishes the DNS-01 value and waits until the zone's
// server shows it.
#pragma once

#include <string>
#include <vector>

namespace p2prc::connector {

// `arguments`: METHOD (begin, done, failed), TYPE, IDENT, TOKEN, AUTH, as uacme(1) passes them. The exit
// status 0 accepts the challenge; others decline it, if it is not dns-01 or the value is not visible in time.
int run_acme_hook(const std::vector<std::string>& arguments);

} // namespace p2prc::connector
