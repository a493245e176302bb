// Whose data lies in /var/lib/p2prc-data/NAME: a new process of an old name does not inherit it unasked.
#pragma once

#include "core/error.h"
#include "core/records.h"
#include "process/transient_unit.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace p2prc::process {

// Of which process the data at a name is: this node's own word, as records come from a root that is not to be
// trusted with it.
struct DataNote {
    std::uint32_t id = 0;
    std::string digest; // of its specification; empty in notes of earlier versions
    friend bool operator==(const DataNote&, const DataNote&) = default;
};

// The note is kept apart from the directory, which belongs to the process's user. systemd puts a dynamic
// user's data into the private root and a link to it into the root. Names are checked again: they become
// paths.
class DataDirectories {
  public:
    DataDirectories(std::filesystem::path root, std::filesystem::path private_root,
                    std::filesystem::path notes);

    // Makes the directory of the record's name free for it (systemd makes the directory itself). Data of
    // another process is moved aside to NAME.<its id>; the new place is returned, empty when nothing had to
    // be moved. Data without a note was put there by hand: a user of this node gets it, another node's
    // process does not. Nothing is ever deleted. Conflict: the record has the id of the process whose data it
    // is, and another specification.
    Result<std::string> prepare(const ProcessRecord& record, Origin origin) const;

    // What runs goes on under the record's id, and keeps its data.
    Result<void> rename(const ProcessRecord& record) const;

    // Nothing: there is none. An error for one that is not readable: nobody's is not what it means.
    Result<std::optional<DataNote>> note(std::string_view name) const;

    // The directory with the name's data, where that is there and not the superuser's; otherwise empty.
    std::string owned_directory(std::string_view name) const;

  private:
    bool is_there(std::string_view name) const;
    Result<void> write_note(std::string_view name, const DataNote& note) const;
    Result<std::string> move_aside(std::string_view name, std::uint32_t holder) const;

    std::filesystem::path root_, private_root_, notes_;
};

} // namespace p2prc::process
