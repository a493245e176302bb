// What this machine does for its fleet besides running processes: whether edge and connector run here.
#pragma once

#include "core/error.h"
#include "core/machine_role.h"

#include <boost/asio/awaitable.hpp>

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace p2prc::daemon {

class UnitControl;

// A role that is on is a file in a directory of p2prcd's state, and its units start with every boot on the
// condition that the file is there (ConditionPathExists=). Nothing is enabled below /etc, which is read-only
// on some systems and written by somebody else on others.
class Roles {
  public:
    // `directory` is "/var/lib/p2prc/roles". Without `units` (nullptr) no role is ever on.
    Roles(std::filesystem::path directory, UnitControl* units)
        : directory_(std::move(directory))
        , units_(units) {}

    // False until the first start of a p2prcd that keeps roles.
    bool kept() const;
    // Keeps roles from now on, with these on.
    Result<void> keep(std::span<const MachineRole> on) const;

    bool on(MachineRole role) const;
    // Waits until the units of the role run. When it fails the role is on all the same.
    boost::asio::awaitable<Result<void>> turn_on(MachineRole role) const;
    boost::asio::awaitable<Result<void>> turn_off(MachineRole role) const;

  private:
    std::filesystem::path file(MachineRole role) const;

    std::filesystem::path directory_;
    UnitControl* units_;
};

// The units of a role, in the order in which they start.
std::vector<std::string> units_of(MachineRole role);

} // namespace p2prc::daemon
