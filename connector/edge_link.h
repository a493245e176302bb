// Keeps a session with one edge: dials, serves it, and dials again.
#pragma once

#include "connector/flow_pool.h"
#include "connector/mappings.h"
#include "net/identity.h"
#include "net/tls.h"
#include "tunnel/poller.h"
#include "tunnel/session_channel.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace p2prc::connector {

struct EdgeLinkOptions {
    std::chrono::milliseconds dial{2000};
    std::chrono::milliseconds handshake{5000};
    std::chrono::milliseconds first_retry{250}; // doubled up to the longest
    std::chrono::milliseconds longest_retry{2000};
    std::chrono::milliseconds probe{3000}; // after a change of the network
    tunnel::PingTimes ping = {};
    FlowPoolOptions pool = {};
};

struct EdgeLinkStatus {
    bool up = false;
    std::string error; // why not
    std::string hint;
    std::size_t ready = 0; // flow connections
    std::size_t held = 0;  // clients that wait for their application
};

class EdgeLink {
  public:
    using Changed = std::function<void(const EdgeLinkStatus&)>;

    // The poller must outlive it. `changed` is called for each change of `up` and each new error.
    EdgeLink(tunnel::Poller& poller, const net::Identity& identity, EdgeAddress edge, FlowHandlers handlers,
             Changed changed, EdgeLinkOptions options = {});
    ~EdgeLink();
    EdgeLink(const EdgeLink&) = delete;
    EdgeLink& operator=(const EdgeLink&) = delete;

    // Addresses or routes of this machine have changed: dials at once, or probes the session.
    void network_changed();
    // FlowHandlers::resolve may give other answers now.
    void mappings_changed();
    EdgeLinkStatus status() const;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
