// What the processes of another node may use of this machine, all together: the word of this machine's owner,
// which no registry is asked for.
#pragma once

#include "core/process_spec.h"
#include "state/own_state.h"

#include <memory>
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

    // Nothing: it has none. A former name of a node has those of the node.
    std::optional<OwnerLimit> of(std::string_view node) const;
    // Who has any, by its present name.
    std::vector<std::string> nodes() const;
    // In place of all that there were.
    void set(std::string_view node, const OwnerLimit& limit);
    // After whom the slice is named in which the processes of `node` are: a node that has taken another name
    // since it was limited is still in the slice that it was in. Otherwise it would have its limits once more
    // under each name, beside what runs on.
    std::string slice_name(std::string_view node) const;

  private:
    struct Note {
        std::string name; // of the node
        std::shared_ptr<const Json> value;
    };
    std::optional<Note> find(std::string_view node) const;
    // Of another node than `name`.
    bool is_slice_of_another(std::string_view slice, std::string_view name) const;
    std::string free_slice(std::string_view node) const;

    OwnState& own_;
};

} // namespace p2prc::state
