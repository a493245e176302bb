// /etc/p2prc/edge.toml: what the edge is told before it knows any route.
#pragma once

#include "core/error.h"
#include "edge/listen/listener.h"
#include "net/address.h"
#include "tunnel/pumps.h"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::edge {

struct Config {
    std::string routes_file; // set: serves this file, without a daemon
    std::vector<net::Endpoint> listen_tls;
    std::vector<net::Endpoint> listen_http;
    std::vector<net::Endpoint> listen_dns;
    std::string control_socket = "/run/p2prc-control.sock";
    std::string state_directory = "/var/lib/p2prc-edge";
    ListenerOptions listener;
    tunnel::PumpOptions pump;
    std::chrono::milliseconds dial_timeout = std::chrono::seconds(10);
    std::size_t dns_answers_per_second = 200; // over UDP to one IPv4 /24 or IPv6 /56; 0: no limit
    std::chrono::milliseconds drain = std::chrono::seconds(30);
};

// One key of edge.toml; the documentation is made from these.
struct ConfigKey {
    std::string_view key; // "timeouts.hello_seconds"
    std::string_view documentation;
};
std::vector<ConfigKey> config_keys();

// Reads `text` over `config`. Strict: InvalidSpec with file, line and key.
Result<void> read_config(std::string_view text, const std::string& file, Config& config);

} // namespace p2prc::edge
