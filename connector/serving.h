// Finds out for each domain whether clients are served: from how they were answered, and from probes through
// the edge.
#pragma once

#include "connector/edge_probe.h"
#include "connector/mappings.h"
#include "tunnel/answer.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace p2prc::connector {

struct ServingOptions {
    std::chrono::milliseconds first_retry{300}; // after a probe that failed; doubled up to the longest
    std::chrono::milliseconds longest_retry{60000};
    std::chrono::milliseconds calm{300000}; // after a probe that succeeded
    // A domain counts as failing after this many failures in a row: the edge may not know the name yet.
    int failures = 4;
    std::size_t at_once = 4;
};

class Serving {
  public:
    // "ok", "failing" or "unknown", with the reason.
    using Report =
        std::function<void(const std::string& domain, const std::string& state, const std::string& reason)>;
    using Probe = std::function<boost::asio::awaitable<ProbeResult>(EdgeProbe)>;

    // Reports each change. `probe` is probe_edge, or a test's.
    Serving(boost::asio::any_io_executor executor, Report report, ServingOptions options = {},
            Probe probe = probe_edge);
    ~Serving();
    Serving(const Serving&) = delete;
    Serving& operator=(const Serving&) = delete;

    void set_mappings(const MappingTable& table);
    // TLS for `domain` is terminated with `context` from now on; null: no longer.
    void set_certificate(const std::string& domain, std::shared_ptr<ssl_ctx_st> context);
    void set_link(const net::Endpoint& edge, bool up);
    // How the application answered a client.
    void answered(std::uint32_t mapping, tunnel::Answer answer);
    // The receiver has lost its state: reports all again.
    void report_again();

  private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace p2prc::connector
