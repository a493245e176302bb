// The remaining times of leases, in memory: a keepalive writes nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <vector>

namespace p2prc::store {

class Leases {
  public:
    using Clock = std::function<std::chrono::nanoseconds()>;
    explicit Leases(Clock clock) : clock_(std::move(clock)) {}

    // Begins, or begins anew, its whole time.
    void start(std::uint64_t lease, std::chrono::milliseconds time) {
        leases_[lease] = {time, clock_() + time};
    }
    bool has(std::uint64_t lease) const { return leases_.contains(lease); }
    // False: there is no such lease.
    bool keep_alive(std::uint64_t lease);
    void remove(std::uint64_t lease) { leases_.erase(lease); }
    std::vector<std::uint64_t> expired() const;

  private:
    struct Lease {
        std::chrono::milliseconds time;
        std::chrono::nanoseconds deadline;
    };
    Clock clock_;
    std::map<std::uint64_t, Lease> leases_;
};

} // namespace p2prc::store
