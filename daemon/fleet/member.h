// This node as a member: its control link to the root, and what it learns of itself and the root by it.
#pragma once

#include "daemon/fleet/member_link.h"
#include "daemon/fleet/node_context.h"
#include "net/address.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace p2prc::daemon {

struct MemberEvents {
    std::function<void(bool up, const std::string& reason)> link_changed;
    std::function<void()> refused; // the root does not take this node's key any more
    std::function<void()> learned; // something that the node says about itself is another thing now
};

class Member : public std::enable_shared_from_this<Member> {
  public:
    // What it learnt before is read from the own state. Nothing is dialled yet.
    Member(std::shared_ptr<NodeContext> node, MemberEvents events);

    void dial();
    // nullptr: not dialled yet.
    MemberLink* link() const { return link_.get(); }

    const std::string& seen_from() const { return seen_from_; }
    const std::optional<std::string>& root_address() const { return root_address_; }
    std::optional<double> latency_ms() const { return latency_ms_; }
    std::optional<std::chrono::milliseconds> clock_ahead() const { return clock_ahead_; }

  private:
    std::vector<net::Endpoint> root_addresses() const;
    void reached(const net::Address& address);
    void measured(std::chrono::microseconds round_trip);
    void clock_seen(std::chrono::milliseconds ahead);

    std::shared_ptr<NodeContext> node_;
    MemberEvents events_;
    std::unique_ptr<MemberLink> link_;
    std::string seen_from_; // the address that the root saw
    // The private address at which the root was reached last; nothing: a public one, or not known yet.
    std::optional<std::string> root_address_;
    std::optional<double> latency_ms_;
    std::optional<std::chrono::milliseconds> clock_ahead_; // of the root's
};

} // namespace p2prc::daemon
