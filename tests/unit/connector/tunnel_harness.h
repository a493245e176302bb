// Edge and connector in one process over real sockets: a public port on one side, applications on the other.
#pragma once

#include "connector/connector.h"
#include "edge/tunnel/tunnels.h"
#include "net/identity.h"
#include "tunnel/pumps.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_future.hpp>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace p2prc::test {

// A blocking socket on loopback, for the test's own thread. Everything fails the test after ten seconds.
class Peer {
  public:
    explicit Peer(int fd) : fd_(fd) {}
    static Peer connect(std::uint16_t port);
    int fd() const { return fd_.get(); }
    void send(std::string_view bytes);
    std::string receive(std::size_t size); // exactly; less only at the end of the stream
    std::string receive_all();             // until the end of the stream
    bool ended_by_reset();                 // reads to the end
    void finish();                         // FIN
    void close() { fd_.reset(); }

  private:
    net::UniqueFd fd_;
};

class Listener {
  public:
    Listener();
    std::uint16_t port() const { return port_; }
    Peer accept();
    bool nobody_came(int milliseconds);

  private:
    net::UniqueFd fd_;
    std::uint16_t port_ = 0;
};

class TunnelHarness {
  public:
    TunnelHarness();
    ~TunnelHarness();

    // Before run().
    edge::TunnelOptions edge_options;
    connector::EdgeLinkOptions link_options;
    connector::MappingTable table; // `edges` is filled in
    std::vector<std::pair<std::string, std::shared_ptr<ssl_ctx_st>>> certificates;

    void run(bool with_connector = true);
    // Runs `work` on the loop's thread and waits for it.
    template <class Work>
    auto on_loop(Work work) {
        std::packaged_task<decltype(work())()> task(std::move(work));
        auto result = task.get_future();
        boost::asio::post(io_, [&task] { task(); });
        return result.get();
    }
    // Runs a coroutine on the loop and waits for its result.
    template <class Value>
    Value await(boost::asio::awaitable<Value> work) {
        return boost::asio::co_spawn(io_, std::move(work), boost::asio::use_future).get();
    }
    // Waits until `condition`, asked on the loop, is true; false after ten seconds.
    bool eventually(std::function<bool()> condition);

    // A client: what it sends first goes with the request, as a ClientHello would.
    void carry(std::uint32_t mapping_id, TlsMode tls = TlsMode::Passthrough);
    std::uint16_t public_port() const { return public_.local_endpoint().port(); }
    std::uint16_t edge_port() const { return tunnels_port_.local_endpoint().port(); }
    std::optional<Error> last_error(); // of a client that was not carried
    void last_client_leaves();         // before it was carried

    edge::Tunnels& edge() { return *tunnels_; }
    void stop_connector() { connector_.reset(); }
    void start_connector();
    connector::Connector& connector() { return *connector_; }
    const net::Identity& edge_identity() const { return edge_identity_; }
    const net::Identity& home_identity() const { return home_identity_; }
    tunnel::Poller& poller() { return *poller_; }
    boost::asio::io_context& io() { return io_; }

  private:
    boost::asio::awaitable<void> serve_tunnels();
    static boost::asio::awaitable<void> sort(TunnelHarness* self, boost::asio::ip::tcp::socket socket);
    boost::asio::awaitable<void> serve_clients();
    static boost::asio::awaitable<void> carry_one(TunnelHarness* self, boost::asio::ip::tcp::socket socket);

    boost::asio::io_context io_;
    net::Identity edge_identity_;
    net::Identity home_identity_;
    boost::asio::ip::tcp::acceptor tunnels_port_;
    boost::asio::ip::tcp::acceptor public_;
    std::unique_ptr<tunnel::Poller> poller_;
    std::unique_ptr<tunnel::Pumps> pumps_;
    std::unique_ptr<edge::Tunnels> tunnels_;
    std::unique_ptr<connector::Connector> connector_;
    std::uint32_t mapping_id_ = 1;
    TlsMode tls_ = TlsMode::Passthrough;
    std::optional<Error> last_error_;
    edge::Tunnels::Ticket last_ticket_;
    std::thread thread_;
};

} // namespace p2prc::test
