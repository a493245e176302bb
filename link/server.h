// Accepts the connections that the edge passes on, and hands over those whose TLS handshake succeeded.
#pragma once

#include "core/error.h"
#include "link/half_open.h"
#include "net/address.h"
#include "net/fd.h"
#include "net/tls.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace p2prc::link {

inline constexpr std::string_view control_alpn = "p2prc-control/1";
inline constexpr std::string_view join_alpn = "p2prc-join/1";

struct ServerLimits {
    HalfOpenLimits half_open;
    std::chrono::milliseconds handshake{5000};
    std::chrono::milliseconds crowded{1500}; // the same while more than half of the places are taken
};

struct ServerHandlers {
    net::KeyCheck is_member;      // of the control protocol
    net::SecretLookup invitation; // of the join protocol
    // The handshake is done: tls.alpn() tells which. `source` is what the edge said: information only.
    std::function<void(net::TlsStream tls, net::Endpoint source)> connected;
};

// Listens until it is destroyed.
class ControlServer {
  public:
    // `listener` is the socket of p2prcd-control.socket. Each connection starts with a PROXY version 2
    // header.
    static Result<std::unique_ptr<ControlServer>> start(boost::asio::any_io_executor executor,
                                                        net::UniqueFd listener, const net::Identity& identity,
                                                        ServerHandlers handlers, ServerLimits limits = {});
    ~ControlServer();

    struct Counters {
        std::uint64_t accepted = 0, displaced = 0, bad_header = 0, bad_handshake = 0;
    };
    Counters counters() const;

  private:
    struct State;
    explicit ControlServer(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

} // namespace p2prc::link
