// The drop-ins that contain the commands of transient units.
#pragma once

#include "core/error.h"

#include <filesystem>
#include <set>
#include <string>

namespace p2prc::process {

class DropIns {
  public:
    // `root`: where systemd looks for drop-ins of units at run time.
    explicit DropIns(std::filesystem::path root) : root_(std::move(root)) {}

    // Empty when the unit has none of ours.
    std::string read(const std::string& unit) const;
    // Whole or not at all: systemd may read it at any moment. An empty text writes nothing; InvalidSpec for
    // what is no name of a unit.
    Result<void> write(const std::string& unit, const std::string& text) const;
    void remove(const std::string& unit) const;
    // The units that have one of ours. Not those of which systemd has a file: it may load them from there.
    std::set<std::string> units() const;

  private:
    std::filesystem::path root_;
};

} // namespace p2prc::process
