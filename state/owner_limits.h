// What the processes of another node may use of this machine, all together: the word of this machine's owner,
// which no registry is asked for.
#pragma once

#include "core/process_spec.h"
#include "state/own_state.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::state {

struct OwnerLimit {
    LimitsSpec limits;
    std::string by; // "user@node", who set one of them last
    std::string at; // RFC 3339
    friend bool operator==(const OwnerLimit&, const OwnerLimit&) = default;
};

// Kept in the own state under /owner-limits/<node>, and never uploaded. On disk when the own state is
// flushed.
class OwnerLimits {
  public:
    explicit OwnerLimits(OwnState& own) : own_(own) {}

    // Nothing: it has none.
    std::optional<OwnerLimit> of(std::string_view node) const;
    // Who has any.
    std::vector<std::string> nodes() const;
    // In place of all that there were.
    void set(std::string_view node, const OwnerLimit& limit);

  private:
    OwnState& own_;
};

} // namespace p2prc::state
