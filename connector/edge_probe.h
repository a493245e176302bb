// Probes a domain: connects through the edge as any client would, and checks who answers.
#pragma once

#include "core/error.h"
#include "net/address.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <memory>
#include <string>

struct ssl_ctx_st;

namespace p2prc::connector {

struct EdgeProbe {
    net::Endpoint edge;
    std::string name; // the server name to ask for
    // The certificate that must be presented; null: any answer to the handshake is fine, because the
    // application terminates TLS itself.
    std::shared_ptr<ssl_ctx_st> own;
    std::chrono::milliseconds timeout{5000};
};

// Succeeds if clients get through. The error says what they get instead.
boost::asio::awaitable<Result<void>> probe_edge(EdgeProbe probe);

} // namespace p2prc::connector
