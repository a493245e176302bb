// The process specification: an immutable description from which any node can run the process.
#pragma once

#include "core/error.h"
#include "core/remedy.h"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc {

enum class Restart { Always, OnFailure, No };

// What prepares the process before it starts.
struct DeploySpec {
    static constexpr std::size_t longest_script = std::size_t{256} << 10U;
    std::string strategy; // the name of a deployer; empty: none
    std::string script;   // its input
    friend bool operator==(const DeploySpec&, const DeploySpec&) = default;
};

struct RunSpec {
    // argv; with `shell`, one element that sh -c runs; empty: the deployer says it
    std::vector<std::string> command;
    bool shell = false;
    std::vector<std::string> kill; // argv of the stop command; empty: systemd's own stop
    std::string user;              // empty: a DynamicUser
    std::string root;              // absolute path of what it has for "/"; empty: what the node has
    std::map<std::string, std::string> environment;
    std::map<std::string, std::string> credentials; // name -> absolute path on the node
    Restart restart = Restart::OnFailure;
    bool data = true; // keep /var/lib/p2prc-data/NAME
    friend bool operator==(const RunSpec&, const RunSpec&) = default;
};

struct LimitsSpec {
    std::optional<std::uint64_t> memory_bytes;
    std::optional<std::uint32_t> cpu_percent; // 150 is one and a half processors
    std::optional<std::uint32_t> tasks;
    friend bool operator==(const LimitsSpec&, const LimitsSpec&) = default;
};

// How a process is asked whether it is well.
struct Probe {
    enum class Kind { Port, Http, Notify, Command };
    Kind kind = Kind::Port;
    std::string path = {};                 // of Http
    std::vector<std::string> command = {}; // of Command, as in RunSpec
    bool shell = false;
    friend bool operator==(const Probe&, const Probe&) = default;
};
std::string_view probe_name(Probe::Kind kind) noexcept; // its key in a process file: "http"
bool is_by(const std::optional<Probe>& probe, Probe::Kind kind) noexcept;

// When a process counts as ready.
struct ReadySpec {
    std::optional<Probe> probe; // nothing: its port, or without one to have lived for a while
    std::optional<std::chrono::seconds> timeout; // nothing: the default with a probe, and otherwise no end
    friend bool operator==(const ReadySpec&, const ReadySpec&) = default;
};
inline constexpr std::chrono::seconds default_ready_timeout{60};
// How long it may take to become ready; nothing: as long as it likes. A process whose file says nothing of
// readiness is never stopped for want of it.
std::optional<std::chrono::seconds> ready_limit(const ReadySpec& ready) noexcept;

// How a process that is ready is watched.
struct LiveSpec {
    std::optional<Probe> probe; // nothing: not at all; never Notify
    std::chrono::seconds every{30};
    std::uint32_t failures = 3; // in a row, after which it is unhealthy
    friend bool operator==(const LiveSpec&, const LiveSpec&) = default;
};

enum class UpdateOrder {
    StopFirst,  // the running revision is stopped, then the next one is started
    StartFirst, // the next one is started beside it, and takes over when it has proved itself
};

struct UpdateSpec {
    UpdateOrder order = UpdateOrder::StopFirst;
    static constexpr std::chrono::seconds default_hold{10};
    static constexpr std::chrono::seconds longest_hold{60};
    // Whether its data is copied between the stop of a revision and the start of the next.
    bool snapshot = false;
    // How long a client at the edge waits for a process that is on its way; 0: not at all.
    std::chrono::seconds hold = default_hold;
    friend bool operator==(const UpdateSpec&, const UpdateSpec&) = default;
};

// What a node must have to run a process.
struct RequireSpec {
    std::string arch;                          // as uname -m prints it; empty: any
    std::optional<std::uint64_t> memory_bytes; // free
    std::optional<std::uint64_t> disk_bytes;   // free, where data lies
    bool gpu = false;
    std::vector<std::string> labels; // "KEY", whatever its value, or "KEY=VALUE"; ascending
    friend bool operator==(const RequireSpec&, const RequireSpec&) = default;
};

// Where a process may run. Without any of it, it runs on the node where it is spun.
struct PlacementSpec {
    std::vector<std::string> nodes; // only these, in order of preference; empty: any
    RequireSpec require;
    friend bool operator==(const PlacementSpec&, const PlacementSpec&) = default;
};
inline constexpr std::size_t most_placement_nodes = 64;
inline constexpr std::size_t most_required_labels = 16;

inline constexpr std::size_t most_further_ports = 8;

// Made by the codecs below and held const from then on; a change is another spec with another digest.
struct ProcessSpec {
    std::string name;
    std::optional<std::uint16_t> port; // 0: one is chosen and bound beside the spec; nothing: no port
    std::vector<std::uint16_t> ports;  // further ones that it may bind, ascending
    std::string domain;                // normalised; empty: none
    DeploySpec deploy;
    RunSpec run;
    LimitsSpec limits;
    ReadySpec ready;
    LiveSpec live;
    UpdateSpec update;
    PlacementSpec placement;
    std::vector<Remedy> remedies; // the first that is about a stop counts
    friend bool operator==(const ProcessSpec&, const ProcessSpec&) = default;
};

// Whether its file says where it may run, so that the registry chooses among the nodes.
bool is_placed(const ProcessSpec& spec) noexcept;

// Says where a key of a document stands ("calendar.toml:3"), for error messages; "" when it is not known.
using Locate = std::function<std::string(std::string_view key_path)>;

// Strictly, as people write it: an unknown key, a wrong type, a bad value or a key that this version does not
// build is an error that names the place, the key and the nearest known key. Nothing is defaulted in silence.
Result<ProcessSpec> spec_from_document(const nlohmann::json& document, const Locate& locate = {});
// A process file. `file` is its name in errors.
Result<ProcessSpec> spec_from_toml(std::string_view text, std::string_view file);
// Tolerantly, as it is stored and sent: unknown keys are skipped, so that a newer peer can be read.
Result<ProcessSpec> spec_from_stored(const nlohmann::json& document);

// The canonical form: every field that equals its default is left out, so that a release that adds a field
// changes no digest. Keys are sorted.
nlohmann::json spec_to_document(const ProcessSpec& spec);
// SHA-256 over the canonical form, in hexadecimal.
std::string spec_digest(const ProcessSpec& spec);

// The command line as a person would type it, for `run_command`.
std::string command_text(const RunSpec& run);

} // namespace p2prc
