// One UDP socket on one address of the machine, drained and answered in batches.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace p2prc::edge::dns {

struct Service;

class UdpListener {
  public:
    UdpListener(boost::asio::any_io_executor executor, std::shared_ptr<Service> service);
    ~UdpListener(); // closes the socket

    // Binds and starts to answer. Port 0: the kernel chooses. Never a wildcard address: a reply must leave
    // from the address that was asked, and a socket bound to it makes that so.
    Result<void> open(const net::Endpoint& at);
    net::Endpoint local() const;

  private:
    class Socket;
    std::shared_ptr<Socket> socket_;
};

} // namespace p2prc::edge::dns
