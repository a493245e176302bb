// Finds out which processes of this node are ready, and which of those are not healthy any more.
#pragma once

#include "core/bind_rule.h"
#include "core/process_spec.h"
#include "net/listeners.h"
#include "process/deployed.h"
#include "process/journal_tail.h"
#include "process/port_target.h"
#include "process/probe.h"
#include "process/systemd.h"
#include "process/unit_names.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::process {

// A run of a process.
struct HealthTarget {
    std::string process;
    Turn turn = Turn::First; // which of its units it is
    std::string invocation;
    std::shared_ptr<const ProcessSpec> spec;
    std::optional<std::uint16_t> port; // bound: the spec's, or the one chosen for port 0
    Origin origin = Origin::Remote;    // decides on the sandbox of its commands
    // Of its commands. They take ten seconds where their maker likes that, and all others of the share wait.
    JobShare share{JobShare::Kind::Probes};
    std::string slice{process_slice};      // of its commands
    std::optional<Deployed> deployed = {}; // what its commands have of a deployer, as the process has
};

// Called on the executor, and never from within watch(). Each may destroy the Watch, and make others. `step`
// is that of a stop reason: port, http, notify or command; `answer` what was answered last.
struct HealthEvents {
    std::function<void()> ready; // once
    // What it still lacks, in words, when that changes. Not in the first second, and then at most every five:
    // each report is an upload.
    std::function<void(std::string what)> lacks;
    // The time that its file gives it to become ready is over. Nothing comes after this.
    std::function<void(std::string step, std::string answer)> not_ready;
    // Once it was ready: too many failures in a row. Nothing comes after this.
    std::function<void(std::string step, std::string answer)> unhealthy;
};

// Ready: what [ready] of the file asks for has happened. Without it a process with a port is ready when a
// socket of its own control group listens there, one without when it has lived for two seconds, and neither
// is ever `not_ready`. With ready.notify the run is ready when its unit is up: watch it from then on; systemd
// itself ends one that is not in time. Each run becomes ready once; [live] says how it is watched from then
// on.
//
// While none waits to become ready and none has [live], nothing is done. All that wait for a port share one
// question to the kernel.
class Health {
  public:
    // What it looks at; replaced in tests. Those of the second group may be empty.
    struct Sources {
        std::function<Result<std::vector<net::Listener>>()> listeners;
        // Of this run's unit alone: what runs beside it has ports of its own.
        std::function<UnitSockets(const std::string& process, Turn turn)> unit;

        std::function<bool(const BindRule&)> pinned = {}; // its programs are there
        LastLine last_line = {};
        // How long the machine has slept since its boot.
        std::function<std::chrono::nanoseconds()> slept = {};
        // What a process without a port has to live to count as ready; and for how long nobody is asked for
        // [live] after the machine slept.
        std::chrono::milliseconds lived_enough{2'000};
        std::chrono::milliseconds rest_after_sleep{30'000};
    };
    // `journal` must outlive what is made with it; nullptr: answers lack the command's words.
    static Sources of_this_machine(JournalTail* journal = nullptr);

    // `systemd` must outlive it.
    Health(boost::asio::any_io_executor executor, Systemd& systemd, Sources sources = of_this_machine());
    ~Health();
    Health(const Health&) = delete;
    Health& operator=(const Health&) = delete;

    // Ends the watching when it is destroyed: no event comes after that. It may outlive the Health.
    class Watch;
    // `already_ready`: an earlier p2prcd has seen it become ready.
    std::unique_ptr<Watch> watch(HealthTarget target, HealthEvents events, bool already_ready);

  private:
    struct Run;
    class Impl;
    std::shared_ptr<Impl> impl_;
};

class Health::Watch {
  public:
    Watch(std::weak_ptr<Impl> impl, std::shared_ptr<Run> run);
    ~Watch();
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

  private:
    std::weak_ptr<Impl> impl_;
    std::shared_ptr<Run> run_;
};

} // namespace p2prc::process
