// Counts the clients of one target and their bytes, for whoever asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace p2prc::tunnel {

struct Traffic {
    std::size_t connections = 0; // now
    std::uint64_t received = 0;  // bytes from clients
    std::uint64_t sent = 0;      // to them
};

// One connection's part in it; empty: nobody counts.
class TrafficShare {
  public:
    TrafficShare() = default;
    explicit TrafficShare(std::shared_ptr<Traffic> traffic) : traffic_(std::move(traffic)) {
        if (traffic_) ++traffic_->connections;
    }
    TrafficShare(TrafficShare&&) noexcept = default;
    TrafficShare& operator=(TrafficShare&& other) noexcept {
        std::swap(traffic_, other.traffic_);
        return *this;
    }
    ~TrafficShare() {
        if (traffic_) --traffic_->connections;
    }

    void received(std::size_t bytes) noexcept {
        if (traffic_) traffic_->received += bytes;
    }
    void sent(std::size_t bytes) noexcept {
        if (traffic_) traffic_->sent += bytes;
    }

  private:
    std::shared_ptr<Traffic> traffic_;
};

} // namespace p2prc::tunnel
