// How much of the registry each node takes up, counted as documents come and go.
#pragma once

#include "core/keys.h"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace p2prc::registry {

// Differences as well: each may be below zero.
struct Share {
    std::int64_t processes = 0;    // that were asked for from the node, or that it brought
    std::int64_t record_bytes = 0; // of these
    std::int64_t processes_on = 0; // that are on it, whoever asked for them
    std::int64_t tombstones = 0;   // that were left from it
    std::int64_t domains = 0;      // that were mapped from it
    std::int64_t domain_bytes = 0; // of these
    std::int64_t owned_keys = 0;   // that it writes itself
    std::int64_t owned_bytes = 0;
    std::int64_t offers = 0; // of these

    Share& operator+=(const Share& other);
    friend bool operator==(const Share&, const Share&) = default;
};

class Shares {
  public:
    // A document came, or with `sign` -1 goes. `size` is that of its text. Of what its node owns the value is
    // not looked at, and may be missing.
    void count(std::string_view key, const nlohmann::json* document, std::size_t size, int sign = 1);
    void add(const Shares& change);

    // Of the node that goes by this name and has this key: what another machine of that name has made is
    // sealed with its key (registry/maker.h).
    Share of(std::string_view node, std::string_view key) const;

  private:
    Share& at(std::string_view node, std::string_view sealed);
    std::map<std::pair<std::string, std::string>, Share> shares_;
};

} // namespace p2prc::registry
