// The records that a node keeps when it leaves a fleet, on disk until its own registry has them.
//
// Between the root's answer, which gives the records up, and their import here, this file is the only place
// that has them.
#pragma once

#include "core/error.h"
#include "core/json.h"

#include <filesystem>
#include <optional>

namespace p2prc::daemon {

class HandoverFile {
  public:
    explicit HandoverFile(std::filesystem::path path) : path_(std::move(path)) {}

    // It is on disk when this returns. `handover` is what fleet.import takes.
    Result<void> write(const Json& handover) const;
    // Nothing if there is none: no leave is in progress.
    Result<std::optional<Json>> read() const;
    bool exists() const;
    // It is removed from the disk when this returns.
    Result<void> remove() const;

  private:
    std::filesystem::path path_;
};

} // namespace p2prc::daemon
