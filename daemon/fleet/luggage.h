// The records that a node keeps when it leaves a fleet, on disk until its own registry has them.
//
// Between the root's answer, which gives the records up, and their import here, this file is the only place
// that has them.
#pragma once

#include "core/error.h"

#include <nlohmann/json_fwd.hpp>

#include <filesystem>
#include <optional>

namespace p2prc::daemon {

class LuggageFile {
  public:
    explicit LuggageFile(std::filesystem::path path) : path_(std::move(path)) {}

    // It is on disk when this returns. `luggage` is what fleet.import takes.
    Result<void> pack(const nlohmann::json& luggage) const;
    // Nothing if there is none: no leave is in progress.
    Result<std::optional<nlohmann::json>> load() const;
    // It is removed from the disk when this returns.
    Result<void> remove() const;

  private:
    std::filesystem::path path_;
};

} // namespace p2prc::daemon
