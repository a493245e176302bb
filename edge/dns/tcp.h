// DNS over TCP on one address: pipelined queries, idle connections closed, and caps in total and per address.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstddef>
#include <memory>

namespace p2prc::edge::dns {

struct Service;

struct TcpLimits {
    std::size_t connections = 256; // over it, the connection that has been idle longest makes room
    std::size_t per_address =
        16; // of one IPv4 address or IPv6 /64; over it, the longest idle one of them makes room
    std::chrono::milliseconds idle{
        10000}; // since the last whole query was answered: a trickle of bytes is idle too
};

// The open connections of all listeners of a server, which count together.
class TcpConnections;
std::shared_ptr<TcpConnections> make_tcp_connections(boost::asio::any_io_executor executor,
                                                     std::shared_ptr<Service> service, TcpLimits limits);
// Closes all connections.
void close_all(TcpConnections& connections);

class TcpListener {
  public:
    TcpListener(boost::asio::any_io_executor executor, std::shared_ptr<TcpConnections> connections);
    ~TcpListener(); // closes the listening socket; connections go on

    Result<void> open(const net::Endpoint& at);
    net::Endpoint local() const;

  private:
    class Acceptor;
    std::shared_ptr<Acceptor> acceptor_;
};

} // namespace p2prc::edge::dns
