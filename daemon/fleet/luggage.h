// What a node takes home from a fleet that it leaves, on disk until its own registry has it.
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

    // On disk when it returns. `luggage` is what fleet.import takes.
    Result<void> pack(const nlohmann::json& luggage) const;
    // Nothing when there is none: no leave is under way.
    Result<std::optional<nlohmann::json>> load() const;
    // Gone from the disk when it returns.
    Result<void> remove() const;

  private:
    std::filesystem::path path_;
};

} // namespace p2prc::daemon
