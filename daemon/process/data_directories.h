// Whose data lies in /var/lib/p2prc-data/NAME: a new process of an old name does not inherit it unasked.
#pragma once

#include "core/error.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

// The owner's id is kept apart from the directory, which belongs to the process's user. systemd puts a
// dynamic user's data into the private root and a link to it into the root.
class DataDirectories {
  public:
    DataDirectories(std::filesystem::path root, std::filesystem::path private_root,
                    std::filesystem::path owners);

    // Makes the name's directory free for process `id` (systemd makes the directory itself). Data of another
    // owner, or of none that is known, is moved aside to NAME.<owner id>; the new place is returned, empty
    // when nothing had to be moved. `former` are ids that the process had before. Nothing is ever deleted.
    Result<std::string> prepare(std::string_view name, std::uint32_t id,
                                const std::vector<std::uint32_t>& former = {}) const;

    // The process keeps its data under a new id.
    Result<void> set_owner(std::string_view name, std::uint32_t id) const;
    // 0: nobody that is known.
    std::uint32_t owner(std::string_view name) const;

  private:
    std::filesystem::path root_, private_root_, owners_;
};

} // namespace p2prc::daemon
