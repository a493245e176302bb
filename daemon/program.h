// p2prcd as a whole: its parts in the order in which they need each other, and its signals.
#pragma once

#include "core/error.h"
#include "daemon/config.h"

#include <filesystem>
#include <memory>

namespace p2prc::daemon {

struct ProgramOptions {
    std::filesystem::path state = "/var/lib/p2prc";
    std::filesystem::path config_root = "/";
};

class Program {
  public:
    static Result<std::unique_ptr<Program>> create(ProgramOptions options);
    ~Program();

    // Runs until a signal asks it to end, or it loses something that it needs. Processes keep running in
    // either case.
    Result<void> run();

  private:
    class Impl;
    explicit Program(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace p2prc::daemon
