#include "daemon/fleet/member.h"

#include "core/json_members.h"
#include "daemon/fleet/node_checks.h"
#include "daemon/fleet/node_info.h"
#include "daemon/fleet/root_addresses.h"
#include "net/resolve.h"

#include <algorithm>
#include <cmath>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

// What DNS says about the addresses of a zone's root. The name server's name is in the parent zone too, as
// glue, and so is right before the zone itself is.
asio::awaitable<std::vector<net::Endpoint>> look_up_root(std::string zone, std::uint16_t port) {
    std::vector<net::Endpoint> endpoints;
    if (zone.empty()) co_return endpoints;
    const std::vector<std::string> names{"ns1." + zone, zone};
    for (const auto& name : names) {
        const auto addresses = co_await net::resolve(name, std::chrono::seconds(10));
        if (!addresses) continue;
        for (const auto& address : *addresses)
            if (const net::Endpoint endpoint{address, port};
                std::ranges::find(endpoints, endpoint) == endpoints.end() && endpoints.size() < 8)
                endpoints.push_back(endpoint);
    }
    co_return endpoints;
}

} // namespace

Member::Member(std::shared_ptr<NodeContext> node, MemberEvents events)
    : node_(std::move(node))
    , events_(std::move(events)) {
    if (const auto info = node_->own.get(keys::node_info(node_->name())))
        root_address_ = json::optional_member<std::string>(*info, "root_address");
}

void Member::dial() {
    const auto& root = *node_->settings.root;
    LinkOptions options;
    options.node = node_->name();
    options.root_key = root.key;
    const std::weak_ptr<Member> weak = weak_from_this();
    options.addresses = [weak] {
        const auto self = weak.lock();
        return self ? self->root_addresses() : std::vector<net::Endpoint>();
    };
    options.look_up = [zone = root.zone, port = node_->options.root_port] {
        return look_up_root(zone, port);
    };
    options.open_logs = node_->logs_for_others;
    options.measure_usage = node_->options.measure_usage;
    options.changed = events_.link_changed;
    options.refused = events_.refused;
    options.reached = [weak](const net::Address& address) {
        if (const auto self = weak.lock()) self->reached(address);
    };
    options.seen_from = [weak](const std::string& source) {
        const auto self = weak.lock();
        if (!self) return;
        self->seen_from_ = source;
        self->events_.learned();
    };
    options.measured = [weak](std::chrono::microseconds time) {
        if (const auto self = weak.lock()) self->measured(time);
    };
    options.clock = [weak](std::chrono::milliseconds ahead) {
        if (const auto self = weak.lock()) self->clock_seen(ahead);
    };
    options.looked = node_->options.looked;
    options.timing = node_->options.link_timing;
    link_ = std::make_unique<MemberLink>(node_->executor, *node_->identity, node_->replica, node_->own,
                                         std::move(options));
}

std::vector<net::Endpoint> Member::root_addresses() const {
    if (!node_->settings.root) return {};
    const auto fleet = node_->fleet_record();
    const auto info = fleet ? node_->replica.get(keys::node_info(fleet->root)) : nullptr;
    const auto own_ones = own_addresses();
    return root_endpoints(*node_->settings.root, fleet ? &*fleet : nullptr, info.get(), own_ones,
                          node_->options.root_port);
}

// The connector dials the same (daemon/api/routes.cpp), also while the link is down or p2prcd starts again.
void Member::reached(const net::Address& address) {
    root_address_.reset();
    if (!address.is_global() && !address.is_loopback()) root_address_ = address.text();
    events_.learned();
}

// The round trip changes all the time; the fleet is told of real changes, not of each small one.
void Member::measured(std::chrono::microseconds round_trip) {
    const double now = std::round(static_cast<double>(round_trip.count()) / 10.0) / 100.0;
    const bool other = !latency_ms_ || now > *latency_ms_ * 2 + 5 || now * 2 + 5 < *latency_ms_;
    if (!other) return;
    latency_ms_ = now;
    events_.learned();
}

void Member::clock_seen(std::chrono::milliseconds ahead) {
    const bool other = !clock_ahead_ || check_clock(ahead) != check_clock(*clock_ahead_);
    clock_ahead_ = ahead;
    if (other) events_.learned();
}

} // namespace p2prc::daemon
