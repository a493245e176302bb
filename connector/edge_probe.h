// A visitor of our own: asks the edge for a domain as any stranger would, and looks who answers.
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
    // Whose certificate must be shown; null: any answer to the handshake will do, as the application's TLS is
    // its own affair.
    std::shared_ptr<ssl_ctx_st> own;
    std::chrono::milliseconds timeout{5000};
};

// Nothing when visitors get through. The error says what they get instead.
boost::asio::awaitable<Result<void>> probe_edge(EdgeProbe probe);

} // namespace p2prc::connector
