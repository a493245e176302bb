// Whether the fleet's zone is delegated to its root yet.
#pragma once

#include "net/dns_client.h"

namespace p2prc::connector {

// Whether `zone` is delegated to this fleet's root, as this machine's resolver sees it. The error says that
// it is not, or that no resolver answers.
boost::asio::awaitable<Result<void>> check_delegation(std::string zone, net::DnsClientOptions options = {});

} // namespace p2prc::connector
