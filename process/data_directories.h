// Whose data is in /var/lib/p2prc-data/NAME: a process does not get the data of an earlier one of the same
// name.
#pragma once

#include "core/error.h"
#include "core/records.h"
#include "core/remote_spin.h"
#include "process/transient_unit.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// Which process the data of a name belongs to. This node notes it itself: records come from a root, which is
// not trusted about this.
struct DataNote {
    std::uint32_t id = 0;
    std::string digest;  // of its specification; empty in notes of earlier versions
    bool remote = false; // it was first another node's process that had the data
    friend bool operator==(const DataNote&, const DataNote&) = default;
};

// For which update of which process a copy of the data was made.
struct DataCopyNote {
    std::uint32_t id = 0;
    std::uint32_t revision = 0;
};

// The note is kept apart from the directory, which belongs to the process's user. systemd puts a dynamic
// user's data into the private root and a link to it into the root. Names are checked again: they become
// paths.
class DataDirectories {
  public:
    // `exchange` has two directories change places, or returns the error's number; tests have another.
    using Exchange = std::function<int(const std::filesystem::path& one, const std::filesystem::path& other)>;
    DataDirectories(std::filesystem::path root, std::filesystem::path private_root,
                    std::filesystem::path notes, Exchange exchange = {});

    // Makes the directory of the record's name free for it (systemd makes the directory itself). Data of
    // another process is moved to NAME.<its id>; the new place is returned, empty when nothing had to be
    // moved. Data without a note was put there by hand: a user of this node gets it, another node's process
    // does not. Nothing is ever deleted.
    //
    // Another revision of the process gets its data. Who says that it is one is the record, which the root
    // can write: so the data of a process that was spun on this node is for revisions that were spun here
    // too, unless `policy` is Any. Conflict otherwise.
    Result<std::string> prepare(const ProcessRecord& record, Origin origin,
                                RemoteSpin policy = RemoteSpin::Sandboxed) const;

    // The process keeps running under the record's id, and keeps its data.
    Result<void> rename(const ProcessRecord& record) const;

    // Nothing when there is no note. A note that cannot be read is an error: the data may be somebody's.
    Result<std::optional<DataNote>> note(std::string_view name) const;

    // Whether there is any data of that name, whoever has it.
    bool is_there(std::string_view name) const;
    // Where people look for it: that of a dynamic user is elsewhere, with a link to it.
    bool is_in_place(std::string_view name) const;

    // A copy of the data beside it, which an update may go back to. It is written to NAME.copying by the
    // process's user (copy_unit()), and becomes NAME.before when it is whole; that of an update before it
    // makes way.
    Result<void> begin_copy(std::string_view name) const;
    Result<void> finish_copy(std::string_view name, const DataCopyNote& note) const;
    // A whole copy, made for that revision, is there.
    bool has_copy(std::string_view name, const DataCopyNote& note) const;
    // The copy and the data change places, in one step, and once only: what was made of the data since is in
    // NAME.before then. A note says which of the two directories the copy is, by its inode.
    Result<void> put_back(std::string_view name) const;

    // Whether put_back() can be done here: some file systems exchange no directories, such as NFS, and that
    // is found out before an update counts on it. NotSupported with the name of the file system.
    Result<void> check_exchange() const;
    // Names whose copy was begun and is not whole.
    std::set<std::string> unfinished_copies() const;
    // Where such a copy may be.
    std::vector<std::filesystem::path> unfinished_copy(std::string_view name) const;

    // The directory with the data of that name; empty when there is none, or it is the superuser's.
    std::string owned_directory(std::string_view name) const;

  private:
    std::filesystem::path base_of(std::string_view name) const;
    Result<void> move(std::string_view from, std::string_view to) const;
    void forget_link(std::string_view name) const;
    std::string copy_note(std::string_view name) const;
    Result<void> write_note(std::string_view name, const DataNote& note) const;
    Result<std::string> move_aside(std::string_view name, std::uint32_t holder) const;

    std::filesystem::path root_, private_root_, notes_;
    Exchange exchange_;
};

} // namespace p2prc::process
