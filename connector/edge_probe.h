// Probes a domain: connects through the edge as any client would, and checks who answers.
#pragma once

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

enum class Visit {
    Served,
    Refused, // by an alert or another certificate, or there was no answer at all
    Closed,  // without a byte of an answer
    NotTls,  // answered by bytes that are not TLS
};

struct ProbeResult {
    Visit visit = Visit::Served;
    std::string trouble = {}; // what visitors get instead of being served
};

boost::asio::awaitable<ProbeResult> probe_edge(EdgeProbe probe);

} // namespace p2prc::connector
