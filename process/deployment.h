// Runs deployers: each once for a result, two at a time, and until somebody does not want it any more.
#pragma once

#include "core/records.h"
#include "core/stop_reason.h"
#include "net/event.h"
#include "net/fair_slots.h"
#include "process/deployed.h"
#include "process/deployer.h"
#include "process/run_end.h"
#include "process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace p2prc::process {

struct DeploymentOptions {
    std::filesystem::path notes = "/var/lib/p2prc/deployments";
    std::filesystem::path root = "/var/lib/p2prc-deploy";
    std::filesystem::path hidden_root = "/var/lib/private/p2prc-deploy";
    std::filesystem::path cache = "/var/cache/p2prc-deploy";
    std::filesystem::path hidden_cache = "/var/cache/private/p2prc-deploy";
    std::vector<std::filesystem::path> deployers = deployer_directories();
    std::uint32_t owner = 0; // of the deployers
    // Before what could not be done now is tried again; then ever longer ones.
    std::chrono::milliseconds first_pause{30'000};
    std::chrono::milliseconds longest_pause{600'000};
};

// What was removed.
struct Cleaned {
    std::size_t results = 0;
    std::uint64_t bytes = 0; // disk space that is free since
};

// The deployers of a node.
class Deployments {
  public:
    using Warn = std::function<void(std::string_view message, std::string_view process)>;

    // All of them must outlive it.
    Deployments(boost::asio::any_io_executor loop, Systemd& systemd, RunEnd& run_end,
                const DeploymentOptions& options, Warn warn);

    const DeployedResults& results() const { return results_; }
    // InvalidSpec, NotFound and NotPermitted as find_deployer().
    Result<Deployer> deployer(std::string_view name) const;

    // The digests of each process that there is or that still runs; none: it has no deployer.
    using Needed = std::map<std::string, std::set<std::string>>;

    // Removes what no process of this node needs: of names without one, of deployments that a p2prcd that was
    // ended has left, and of results long before the present one. `needed`: the digests of each process that
    // there is or that still runs; none: it has no deployer. Names in `busy` are left alone.
    void tidy(const Needed& needed, const std::set<std::string>& busy, std::shared_ptr<void> owner);
    // Removes at once all results that no process needs, and what deployers keep from one run to the next: of
    // `name` alone, or, where it is empty, of all, with what builders share. `needed` and `busy` as above.
    // Conflict while a deployer that this is about runs; none begins meanwhile. Of the builders' cache there
    // stays what is named as the RESOLVED= of a result says, and of container images what CONTAINER= names,
    // as long as that stays.
    boost::asio::awaitable<Result<Cleaned>> clean(std::string name, Needed needed,
                                                  std::set<std::string> busy);
    void stop() { stopped_ = true; }

  private:
    friend class Deployment;

    boost::asio::awaitable<void> remove_all(std::vector<std::pair<std::string, std::string>> list,
                                            std::shared_ptr<void> owner);
    // Stops the deployer's unit and removes what there is of the result; an empty digest: of all results.
    boost::asio::awaitable<Result<void>> remove(std::string name, std::string digest);
    boost::asio::awaitable<Result<void>> remove_containers(std::string name);
    std::vector<std::filesystem::path> caches_of(const std::string& name) const;
    boost::asio::awaitable<Result<std::uint64_t>> measure_and_remove(TransientUnit content);
    boost::asio::awaitable<Result<Cleaned>> clean_results(std::string name, Needed needed,
                                                          std::set<std::string> busy);
    boost::asio::awaitable<Result<std::uint64_t>> clean_builders();
    boost::asio::awaitable<Result<std::uint64_t>> clean_containers();
    std::string others() const; // who deploys, in words

    boost::asio::any_io_executor loop_;
    Systemd& systemd_;
    RunEnd& run_end_;
    const DeploymentOptions& options_;
    Warn warn_;
    DeployedResults results_;
    net::FairSlots slots_;
    const JobShare share_{JobShare::Kind::Deployments};
    std::multiset<std::string> under_way_; // names
    bool tidying_ = false;
    bool cleaning_ = false;
    bool stopped_ = false;
};

// One process's deployment, from when it is wanted to its result. It tries again by itself what could not be
// done now.
class Deployment : public std::enable_shared_from_this<Deployment> {
  public:
    // Both are called on the executor, and never from within begin(). `says` is what it waits for, in words.
    // `over` comes once, and not after cancel(); nothing: the result is there.
    struct Events {
        std::function<void(std::string words)> says;
        std::function<void(std::optional<StopReason> failure)> over;
    };

    // Whose work it is.
    struct Maker {
        Origin origin = Origin::Remote;
        std::string name;  // one maker has one deployment at a time
        std::string slice; // of its deployers
    };

    // `owner` keeps `all` alive.
    Deployment(Deployments& all, std::shared_ptr<void> owner, ProcessRecord record, std::string node,
               Maker maker, Events events);

    const ProcessRecord& record() const { return record_; }
    void begin();
    // Returns when nothing of it runs and nothing is left.
    boost::asio::awaitable<void> cancel();

  private:
    struct End {
        enum class Kind { Done, NotNow, Failed } kind = Kind::Done;
        StopReason reason = {}; // for NotNow its detail alone counts
    };

    boost::asio::awaitable<void> run();
    boost::asio::awaitable<End> attempt();
    boost::asio::awaitable<End> ended(std::string job, Deployer deployer);
    boost::asio::awaitable<End> finish(Deployer deployer);
    Result<TransientUnit> unit_of(const Deployer& deployer) const;

    Deployments& all_;
    std::shared_ptr<void> owner_;
    ProcessRecord record_;
    std::string node_;
    Maker maker_;
    Events events_;
    std::string digest_;
    std::string resolved_; // what an earlier run has said
    bool cancelled_ = false;
    bool attempting_ = false;
    net::Event pause_, over_;
};

} // namespace p2prc::process
