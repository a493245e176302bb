// Has the BPF programs pinned that keep processes to their ports, before systemd attaches them, and has them
// removed when no process needs them.
#pragma once

#include "core/bind_rule.h"
#include "process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace p2prc::process {

// The unit that runs p2prcd-ports: with the two capabilities that loading takes, and nothing else.
std::vector<UnitProperty> ports_unit(std::vector<std::string> words);
// "p2prcd-ports-NAME.service"; without a name "p2prcd-ports.service".
std::string ports_unit_name(std::string_view process_name);
inline constexpr std::string_view unpin_unit_name = "p2prcd-unpin.service";

// A pin lasts until it is removed or the machine is off. p2prcd remembers what is pinned as long as it runs.
// After its start it has all programs checked again, as an upgrade may bring other ones.
class BindPrograms {
  public:
    // `systemd` must outlive it; `directory` is where the programs are pinned.
    BindPrograms(boost::asio::any_io_executor executor, Systemd& systemd, std::filesystem::path directory)
        : executor_(std::move(executor))
        , systemd_(systemd)
        , directory_(std::move(directory)) {}

    // Once, before any other: the programs of `rules` and of processes without a port, in one run. An error
    // tells that this machine has none: no bpf(2), no BPF file system, an old kernel.
    boost::asio::awaitable<Result<void>> prepare(std::vector<BindRule> rules);
    bool usable() const noexcept { return usable_; }

    // For the start of process `name`: costs nothing when the programs are there. One call for each name at a
    // time.
    boost::asio::awaitable<Result<void>> pin(std::string name, BindRule rule);

    // The names of the rules whose programs are pinned, by an earlier p2prcd too. Only while none are
    // removed.
    std::set<std::string> pinned() const;
    // Removes the programs of these rules, or of the first of many. systemd reads a pin at each start of a
    // unit, its own automatic ones too, so no unit may be left that has one. Not while another call is under
    // way. What cannot be removed now is left alone from then on. A later pin() of one of them waits until
    // this is done.
    boost::asio::awaitable<Result<void>> unpin(const std::set<std::string>& rules);

  private:
    boost::asio::awaitable<Result<void>> run(std::string unit, std::vector<std::string> words);
    boost::asio::awaitable<Result<void>> run_pin(std::string unit, std::vector<BindRule> rules);
    boost::asio::awaitable<Result<void>> run_unpin(std::vector<std::string> words);

    boost::asio::any_io_executor executor_;
    Systemd& systemd_;
    std::filesystem::path directory_;
    std::set<std::string> pinned_;                        // names of rules
    std::set<std::string> unpinning_;                     // the same, while they are removed
    std::shared_ptr<boost::asio::steady_timer> unpinned_; // ends when they are
    bool removable_ = true;
    bool usable_ = false;
};

} // namespace p2prc::process
