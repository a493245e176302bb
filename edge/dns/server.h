// The authoritative DNS server: sockets on the machine's own addresses, answering from the zones last
// published.
#pragma once

#include "core/error.h"
#include "core/route_table.h"
#include "edge/dns/service.h"
#include "edge/dns/tcp.h"
#include "net/address.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace p2prc::edge::dns {

struct Options {
    std::filesystem::path state_file; // the serials last served; empty: they are not kept over a restart
    std::chrono::milliseconds coalesce{
        100}; // the least time from one change to the next, with one serial each
    std::chrono::milliseconds retry{10000}; // after zones could not be served, as of a disk that is full
    // To one IPv4 /24 or IPv6 /56; 0: no limit. Loopback has none.
    std::size_t udp_answers_per_second = 0;
    TcpLimits tcp;
    // Told of what fails after publish() has returned, once for each failure however often it is tried again:
    // the old zones go on being served. Called on the executor.
    std::function<void(const Error&)> on_error;
};

// Used from the executor's one thread; zones are packed on a thread of the server's own.
class Server {
  public:
    Server(boost::asio::any_io_executor executor, Options options);
    ~Server();

    // Listens on UDP and TCP at each endpoint, or at none. Port 0: the kernel chooses, one port for both. A
    // wildcard address is refused.
    Result<void> listen(std::span<const net::Endpoint> endpoints);

    // Listens at exactly these from now on, as the machine's addresses come and go. What can be bound is
    // bound; the error is the first of those that could not, which the next call tries again.
    Result<void> rebind(std::span<const net::Endpoint> endpoints);

    // Serves the zones of `table`; the domains of its routes are in their normal form. What cannot be served
    // is left out, alone, and returned; of a zone that cannot be served at all the old version stays. The
    // first are served when this returns; later ones within Options::coalesce and the time that packing
    // takes. Serials that cannot be read or kept are Options::on_error's.
    std::vector<Rejection> publish(const RouteTable& table);

    const Counters& counters() const;
    // What the zones that are served now have in their SOA, by their names.
    const std::map<std::string, std::uint32_t>& serials() const;
    std::vector<net::Endpoint> endpoints() const;

    // Closes all sockets and connections.
    void stop();

  private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

} // namespace p2prc::edge::dns
