// Keeps the processes of this node to their ports: by BPF programs of ours, or by systemd itself where it
// can.
#pragma once

#include "core/error.h"
#include "process/bind_programs.h"
#include "process/node_records.h"
#include "process/systemd.h"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace p2prc::process {

struct ReconcilerOptions;

class PortConfinement {
  public:
    // All of them must outlive it.
    PortConfinement(boost::asio::any_io_executor loop, Systemd& systemd, const NodeRecords& records,
                    const ReconcilerOptions& options);

    // What keeps all of them alive; held while something of it waits.
    void owned_by(std::weak_ptr<void> owner) { owner_ = std::move(owner); }

    // Once, before any process starts. What fails is tried again later.
    boost::asio::awaitable<void> prepare();
    // For the start of `name` by `rule`: adds its programs to its unit. A process that cannot be confined is
    // started all the same where that is no more than a free port for it. NotPermitted where it would be
    // more; Unreachable: nobody knows yet.
    boost::asio::awaitable<Result<void>> confine(std::string name, ProcessRecord record, BindRule rule,
                                                 TransientUnit& content);
    // Processes that start now are kept to their ports, whatever systemd enforces it by.
    bool confines() const { return by_systemd_ || programs_.usable(); }
    // Why processes that start now are not kept to their ports; nothing: they are, or it is not known yet.
    const std::optional<Error>& unconfined() const { return unconfined_; }
    // Removes the programs that no process needs. `in_use`: the rules of the units that there are: a unit may
    // have other programs than its process's record asks for, as the record has changed since, or is gone.
    void tidy(const std::set<std::string>& in_use);
    void stop();

  private:
    boost::asio::awaitable<void> prepare_again(std::shared_ptr<void> owner);
    void retry_later();
    boost::asio::awaitable<void> report_unpin(std::shared_ptr<void> owner,
                                              boost::asio::awaitable<Result<void>> unpin);

    boost::asio::any_io_executor loop_;
    std::weak_ptr<void> owner_;
    const NodeRecords& records_;
    const ReconcilerOptions& options_;
    Systemd& systemd_;
    BindPrograms programs_;
    bool by_systemd_ = false;
    std::optional<Error> unconfined_;
    std::unique_ptr<boost::asio::steady_timer> timer_; // until it is prepared again
    std::chrono::milliseconds pause_{0};               // before that
    bool stopped_ = false;
};

} // namespace p2prc::process
