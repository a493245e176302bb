// Results of deployers on disk: where they are, which of them are whole, and what they say.
#pragma once

#include "core/error.h"
#include "core/records.h"
#include "process/deploy_result.h"
#include "process/transient_unit.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// A result that is whole.
struct Deployed {
    std::string digest;
    std::filesystem::path directory; // of the deployer
    DeployResult result;
    friend bool operator==(const Deployed&, const Deployed&) = default;

    // What the process is shown.
    std::filesystem::path shown() const;
    // What it has for "/"; empty: what the node has.
    std::filesystem::path root() const;
    // podman runs it.
    bool in_container() const { return !result.container.empty(); }
};

// What a result depends on: the deployer's name, its script, the architecture, the user whose files it has,
// and the revision that asked for another one of the same, where one did. Nothing else of a process file asks
// for another one.
std::string deploy_digest(const ProcessSpec& spec, std::uint32_t deployment = 0);
inline std::string deploy_digest(const ProcessRecord& record) {
    return deploy_digest(record.spec, record.deployment);
}

// InvalidSpec where a process of `spec` cannot run with the result.
Result<void> check_fit(const ProcessSpec& spec, const DeployResult& result);

// `record` as it runs with the result: with its command, where the file has none, and with its root.
ProcessRecord with_result(ProcessRecord record, const Deployed& deployed);

// Adds to a unit of `spec`'s process what it has of the result: it is shown read-only, and what the file says
// of the environment wins.
void add_result(TransientUnit& unit, const ProcessSpec& spec, const Deployed& deployed);

// Of each deployment there is a note, which p2prcd writes before the deployer runs and again when its result
// is whole: the directory itself belongs to the deployer's user. A result is that of one process, as its
// script may have prepared that one's data. Names and digests are checked again: they become paths.
class DeployedResults {
  public:
    // `hidden_root`: where systemd has the directories of dynamic users; in `root` are links to them.
    DeployedResults(std::filesystem::path root, std::filesystem::path hidden_root,
                    std::filesystem::path notes);

    // The result that `record`'s process starts with; nothing: there is none yet.
    std::optional<Deployed> find(const ProcessRecord& record) const;

    // What is left of its deployment is not whole from now on. `hidden`: the deployer runs as a dynamic user.
    Result<void> begin(const ProcessRecord& record, bool hidden) const;
    // Reads what the deployer says, checks it, and notes on disk that it is whole. `closed`: nobody but
    // p2prcd's own units can change it any more; otherwise the whole directory is shown, as what a path leads
    // to may change after it was looked at. `as_root`: the deployer ran as the superuser, as a CONTAINER
    // does. InvalidSpec for what must not be believed.
    Result<Deployed> finish(const ProcessRecord& record, bool hidden, bool closed,
                            bool as_root = false) const;
    // There is no deployment of that digest any more; of an empty one: none at all.
    void forget(std::string_view name, std::string_view digest) const;

    struct Previous {
        std::filesystem::path directory;
        std::string spec; // the digest of the specification it was made for
    };
    // The last result of the same process, but for the one of `record` itself.
    std::optional<Previous> previous(const ProcessRecord& record) const;
    // What a floating name came to the last time that `record`'s script was run; empty: not known.
    std::string resolved(const ProcessRecord& record) const;

    // Names that have notes.
    std::vector<std::string> names() const;
    // Digests of a name that are not whole.
    std::vector<std::string> unfinished(std::string_view name) const;
    // Digests of a name beyond those `needed` and the last two others.
    std::vector<std::string> outdated(std::string_view name, const std::set<std::string>& needed) const;

    // The same of all that is on disk, with or without a note.
    std::set<std::string> names_on_disk() const;
    std::set<std::string> on_disk(std::string_view name) const;
    // What the RESOLVED= of whole results names, after its ':'.
    std::set<std::string> resolved_names() const;
    // What the CONTAINER= of whole results names: of those of `name`, or, where it is empty, of all.
    std::set<std::string> containers(std::string_view name = {}) const;

    // Where a builder makes it, below the root.
    static std::string work_of(std::string_view name, std::string_view digest);
    // All that there may be of it on disk; of an empty digest: of all.
    std::vector<std::filesystem::path> paths_of(std::string_view name, std::string_view digest) const;

  private:
    struct Note;
    std::vector<DeployResult> whole(std::string_view name) const; // those of `name`
    std::optional<Note> read(std::string_view name, std::string_view digest) const;
    Result<void> write(std::string_view name, std::string_view digest, const Note& note) const;
    std::vector<std::pair<std::filesystem::file_time_type, std::string>> digests(std::string_view name) const;
    std::filesystem::path directory_of(std::string_view name, std::string_view digest, bool hidden) const;

    std::filesystem::path root_, hidden_root_, notes_;
};

} // namespace p2prc::process
