// Executes the commands of the bus: requests to the registry, local actions while it is unreachable, and
// waits. actions_drain.cpp: draining a node; actions_owners.cpp: what this machine's owner says of all that a
// node has spun here; actions.cpp: the rest.
#pragma once

#include "daemon/api/view.h"
#include "daemon/api/waits.h"
#include "daemon/fleet/control.h"
#include "state/own_state.h"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace p2prc::daemon {

enum class Verb { Stop, Start, Restart, Kill };

class Actions {
  public:
    // What this node refuses to spin, checked before the registry is asked.
    using CheckSpec = std::function<Result<void>(const ProcessSpec&)>;
    // Has systemd keep what a node has spun here to its limits.
    using ApplyLimits = std::function<boost::asio::awaitable<Result<void>>(std::string node)>;

    // `name`: of a process here; empty: all.
    using CleanDeployments = std::function<boost::asio::awaitable<Result<Json>>(std::string name)>;

    // All must outlive it.
    Actions(FleetControl& fleet, const View& view, state::OwnState& own, Waits& waits, CheckSpec check_spec,
            ApplyLimits apply_limits, CleanDeployments clean_deployments);

    // -> process id, once it is as `wait` says. `document`: keys of a process file; `node` "": the one that
    // its placement chooses, or here.
    boost::asio::awaitable<Result<std::uint32_t>> spin(Json document, std::string node, std::string user,
                                                       WaitFor wait);
    // Makes the next revision of an earlier one; 0: of the last good one. -> its number, once it is as `wait`
    // says.
    boost::asio::awaitable<Result<std::uint32_t>> roll_back(std::string process, std::uint32_t revision,
                                                            std::string user, WaitFor wait);
    // Makes the next revision of the present one, for which its deployer runs anew. -> as roll_back()
    boost::asio::awaitable<Result<std::uint32_t>> redeploy(std::string process, std::string user,
                                                           WaitFor wait);
    // Removes what deployers have left on this machine and no revision needs, with what they keep from one
    // run to the next: of `process`, or, where that is empty, of all. -> {results, bytes}
    boost::asio::awaitable<Result<Json>> clean_deployments(std::string process);
    // What spin() would do: {placement, changes, restarts}. Changes nothing.
    boost::asio::awaitable<Result<Json>> explain(Json document, std::string node, std::string user);
    // `set`: labels by key, `remove`: keys.
    boost::asio::awaitable<Result<void>> label_node(std::string node, Json set, Json remove,
                                                    std::string user);
    // `custom`: a table of texts, in place of all that was there.
    boost::asio::awaitable<Result<void>> describe_node(std::string node, Json custom, std::string user);
    boost::asio::awaitable<Result<void>> describe_process(std::string process, Json custom, std::string user);
    // A row for each process of the node: what draining it would do. Changes nothing.
    boost::asio::awaitable<Result<Json>> explain_drain(std::string node, std::string user);
    // The same, done. Returns when those that were moved are ready there, or says that they are not. With a
    // deadline, what cannot be moved at the moment is tried again until then, or until somebody resumes the
    // node; and nothing is waited for longer.
    boost::asio::awaitable<Result<Json>>
    drain_node(std::string node, std::optional<std::chrono::seconds> deadline, std::string user);
    boost::asio::awaitable<Result<void>> resume_node(std::string node, std::string user);
    // `process`: id, name or domain. Returns when it is done, which for a start and a restart is when it is
    // as `wait` says; for a node that is away, when it is recorded.
    boost::asio::awaitable<Result<void>> act(Verb verb, std::string process, std::string user, WaitFor wait);
    // What the owner of this machine decides, whoever has spun the process; the root is not asked. pause()
    // returns when it is frozen, resume() when it runs, as `wait` says, or does not run for another reason.
    boost::asio::awaitable<Result<void>> pause(std::string process, std::string user);
    boost::asio::awaitable<Result<void>> resume(std::string process, std::string user, WaitFor wait);
    // The same of all that a node has spun here, and will spin. They return at once: of what is still on its
    // way, the state tells.
    boost::asio::awaitable<Result<void>> pause_owner(std::string node, std::string user);
    boost::asio::awaitable<Result<void>> resume_owner(std::string node, std::string user);
    // What all of that may use here; `options`: memory, cpu, tasks, each as in a process file, or "none".
    boost::asio::awaitable<Result<void>> limit_owner(std::string node, Json options, std::string user);
    // -> the domain as it is stored. `options`: tls, port.
    boost::asio::awaitable<Result<std::string>> map_domain(std::string domain, std::string process,
                                                           Json options, std::string user);
    boost::asio::awaitable<Result<void>> unmap_domain(std::string domain, std::string user);

    // "user@node", for the records.
    std::string by(const std::string& user) const;

  private:
    boost::asio::awaitable<Result<std::uint32_t>> revised(Result<Json> answer, ProcessSpec spec,
                                                          WaitFor wait);
    boost::asio::awaitable<Result<void>> wait_for_update(const Json& answer, ProcessSpec spec, WaitFor wait);
    boost::asio::awaitable<void> await_moved(Json& row, std::optional<std::chrono::nanoseconds> end);
    boost::asio::awaitable<Result<Json>> ask_to_spin(ProcessSpec spec, Json params);
    Result<void> check_port(const ProcessSpec& spec) const;
    Result<void> check_here(const ProcessSpec& spec) const;
    Result<Json> spin_params(const ProcessSpec& spec, const std::string& node, const std::string& user) const;
    Result<Json> explain_params(const ProcessSpec& spec, const std::string& node,
                                const std::string& user) const;
    Result<void> check_owner(const std::string& node) const;
    Result<ProcessRecord> find_here(const std::string& process, std::string_view verb) const;
    boost::asio::awaitable<Result<void>> await_resumed(ProcessRecord record, WaitFor wait);
    boost::asio::awaitable<Result<std::uint64_t>> act_here(Verb verb, ProcessRecord record, std::string by);

    FleetControl* fleet_;
    const View* view_;
    state::OwnState* own_;
    Waits* waits_;
    CheckSpec check_spec_;
    ApplyLimits apply_limits_;
    CleanDeployments clean_deployments_;
};

} // namespace p2prc::daemon
