// Sees to it that the programs are pinned that keep processes to their ports, before systemd is to attach
// them.
#pragma once

#include "core/bind_rule.h"
#include "daemon/process/systemd.h"

#include <boost/asio/awaitable.hpp>

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::daemon {

// The unit that runs p2prcd-ports: with the two capabilities that loading takes, and nothing else.
std::vector<UnitProperty> ports_unit(std::span<const BindRule> rules);
// "p2prcd-ports-NAME.service"; without a name "p2prcd-ports.service".
std::string ports_unit_name(std::string_view process_name);

// Pins last as long as the machine is on. What is pinned is remembered while p2prcd runs; one that starts
// again has them looked at again, as an upgrade may bring other programs.
class BindPrograms {
  public:
    // `systemd` must outlive it.
    explicit BindPrograms(Systemd& systemd) : systemd_(systemd) {}

    // Once, before any other: the programs of `rules` and of processes without a port, in one run. An error
    // tells that this machine has none: no bpf(2), no BPF file system, an old kernel.
    boost::asio::awaitable<Result<void>> prepare(std::vector<BindRule> rules);
    bool usable() const noexcept { return usable_; }

    // For the start of process `name`: costs nothing when the programs are there. One call for each name at a
    // time.
    boost::asio::awaitable<Result<void>> pin(std::string name, BindRule rule);

  private:
    boost::asio::awaitable<Result<void>> run(std::string unit, std::vector<BindRule> rules);

    Systemd& systemd_;
    std::set<std::string> pinned_; // names of rules
    bool usable_ = false;
};

} // namespace p2prc::daemon
