// The flow connections of one session: keeps as many idle ones as the edge wants.
#pragma once

#include "connector/flow.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

namespace p2prc::connector {

// A client's two sockets and what came with them.
struct AcceptedFlow {
    net::UniqueFd tunnel;
    net::UniqueFd application;
    std::string received; // from the client, not yet given to the application
    bool application_polled = false;
    std::shared_ptr<ssl_ctx_st> tls; // null: bytes go as they are
    // The other end of `application` if it is not available: serve an error page about the mapping's domain.
    net::UniqueFd page;
    Trouble trouble = Trouble::NoAnswer;
    std::uint32_t mapping = 0;
};

// Decides about clients, takes them over, and learns how they were answered.
struct FlowHandlers {
    std::function<Resolved(std::uint32_t mapping)> resolve;
    std::function<void(AcceptedFlow)> accept;
    std::function<void(std::uint32_t mapping, tunnel::Answer)> answered = {};
    // Clients of a mapping wait for its application, this long at most; 0: they do not any more.
    std::function<void(std::uint32_t mapping, std::chrono::milliseconds)> holding = {};
};

struct FlowPoolOptions {
    std::chrono::milliseconds connect{10000}; // to the edge
    std::chrono::milliseconds dial{10000};    // to the application
    std::chrono::milliseconds stale{180000};  // the edge closes idle ones long before: it has lost this one
    std::size_t connecting = 64;              // at once
    std::size_t most = 2048;                  // whatever the edge wants
    std::size_t held = 1024; // clients that wait for their application: the oldest makes room
};

class FlowPool {
  public:
    // The poller must outlive it. `edge` is where the session is, `session` its id.
    FlowPool(tunnel::Poller& poller, net::Endpoint edge, std::uint64_t session, tunnel::FlowSeals seals,
             FlowHandlers handlers, FlowPoolOptions options = {});
    ~FlowPool(); // drops all that were not accepted
    FlowPool(const FlowPool&) = delete;
    FlowPool& operator=(const FlowPool&) = delete;

    void want(std::uint32_t count);
    // Replaces the idle ones if this machine now has another address towards the edge: packets from the old
    // address would be lost silently.
    void network_changed();
    // resolve() may give other answers now.
    void mappings_changed();
    std::size_t ready() const noexcept;
    std::size_t held() const noexcept;

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
