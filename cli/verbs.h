// The verb families of the command line, and what every verb has in hand.
#pragma once

#include "core/error.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace p2prc::cli {

// Options that every command takes, and the words behind `--`.
struct Context {
    bool json = false;
    std::vector<std::string> command; // after the first `--`
    bool has_command = false;         // there was a `--`
};

// What the parsed command line asks for; returns an error, or the exit status of a command that has printed.
using Action = std::function<Result<int>(Context&)>;

// The heading in --help of commands that are refused with these words.
inline constexpr const char* later_group = "Not in this version";

// Each adds its commands to `app`; parsing one stores its action.
void add_spin_verb(CLI::App& app, Action& action);       // spin
void add_process_verbs(CLI::App& app, Action& action);   // ps info kill stop start restart custom
void add_pause_verbs(CLI::App& app, Action& action);     // pause resume
void add_revision_verbs(CLI::App& app, Action& action);  // history rollback
void add_deploy_verb(CLI::App& app, Action& action);     // deploy
void add_owner_verbs(CLI::App& app, Action& action);     // owners owner
void add_log_verbs(CLI::App& app, Action& action);       // logs
void add_top_verbs(CLI::App& app, Action& action);       // top
void add_domain_verbs(CLI::App& app, Action& action);    // map-domain unmap-domain domains
void add_fleet_verbs(CLI::App& app, Action& action);     // init invite join leave nodes fleet
void add_dns_verbs(CLI::App& app, Action& action);       // dns
void add_status_verbs(CLI::App& app, Action& action);    // status doctor
void add_later_verbs(CLI::App& app, Action& action);     // in the contract, not in this version
void add_completion_verb(CLI::App& app, Action& action); // __complete

} // namespace p2prc::cli
