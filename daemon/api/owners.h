// Who runs what on this machine: the rows of ListOwners.
#pragma once

#include "daemon/api/view.h"
#include "state/own_state.h"

#include <filesystem>
#include <string>

namespace p2prc::daemon {

class Owners {
  public:
    // Both must outlive it.
    Owners(const View& view, state::OwnState& own, std::filesystem::path cgroup_root)
        : view_(&view)
        , own_(&own)
        , cgroup_root_(std::move(cgroup_root)) {}

    // This machine first, then all that have processes or limits here, or are paused as a whole, by name.
    Json rows() const;
    // That of another node.
    Json row_of(const std::string& owner) const;
    // What is to be known about the limits that it has, when its row was `before` they were set: a list.
    Json notes(const std::string& owner, const Json& before) const;

  private:
    struct Share;
    std::vector<Share> shares() const;
    Share another(std::string owner) const;
    void add_process(Share& share, const ProcessRecord& record) const;
    Json row(const Share& share) const;

    const View* view_;
    state::OwnState* own_;
    std::filesystem::path cgroup_root_;
};

} // namespace p2prc::daemon
