// Queries DNS servers on the event loop, with c-ares. Not for p2prcd, which reads nothing that strangers
// send: it has the system resolve names (net/resolve.h).
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::net {

struct DnsClientOptions {
    // Servers to ask, in this order; none: the resolvers from /etc/resolv.conf.
    std::vector<Address> servers = {};
    std::uint16_t port = 53;
    std::chrono::milliseconds timeout{2000}; // for each try
    int tries = 2;
};

// NotFound: there is no such name or no such record. Unreachable: no server answered, or none could.
class DnsClient {
  public:
    explicit DnsClient(boost::asio::any_io_executor executor, DnsClientOptions options = {});
    ~DnsClient(); // queries in progress fail
    DnsClient(const DnsClient&) = delete;
    DnsClient& operator=(const DnsClient&) = delete;

    // The TXT records of `name`, the strings of each put together (RFC 1035 section 3.3.14).
    boost::asio::awaitable<Result<std::vector<std::string>>> texts(std::string name);
    // The IPv4 and IPv6 addresses of `name`, also from /etc/hosts.
    boost::asio::awaitable<Result<std::vector<Address>>> addresses(std::string name);
    // MNAME of the SOA record of `zone`: its primary server.
    boost::asio::awaitable<Result<std::string>> primary(std::string zone);

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::net
