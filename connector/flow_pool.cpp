#include "connector/flow_pool.h"

#include "net/one_shot_timer.h"
#include "net/sockaddr.h"
#include "tunnel/socket_options.h"

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace p2prc::connector {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds tick_interval{5000};
// How long an answer waits for the application's reply, to travel with it. After 300 ms the edge asks another
// flow connection.
constexpr std::chrono::milliseconds reply_wait{20};
// How often those are looked at that wait for their application.
constexpr std::chrono::milliseconds held_interval{50};
// How often the edge is told again how long clients of a mapping wait.
constexpr std::chrono::milliseconds told_again{1000};
constexpr std::chrono::milliseconds first_pause{100};
constexpr std::chrono::milliseconds longest_pause{5000};
constexpr std::chrono::milliseconds refused_within{500};

// The address that the kernel would give a connection to the edge now; empty without a route. Connecting a
// datagram socket sends nothing (connect(2)).
std::string source_towards(const sockaddr_storage& edge, socklen_t size) {
    const net::UniqueFd socket(::socket(edge.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_storage name{};
    socklen_t name_size = sizeof name;
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&edge), size) != 0 ||
        ::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &name_size) != 0)
        return {};
    if (name.ss_family == AF_INET) {
        const auto& address = reinterpret_cast<const sockaddr_in&>(name).sin_addr;
        return {reinterpret_cast<const char*>(&address), sizeof address};
    }
    const auto& address = reinterpret_cast<const sockaddr_in6&>(name).sin6_addr;
    return {reinterpret_cast<const char*>(&address), sizeof address};
}

} // namespace

struct FlowPool::State final : HomeFlowKeeper, std::enable_shared_from_this<FlowPool::State> {
    State(tunnel::Poller& poller_, std::uint64_t session_, tunnel::FlowSeals seals_, FlowHandlers handlers_,
          FlowPoolOptions options_)
        : poller(poller_)
        , session(session_)
        , seals_of_session(std::move(seals_))
        , handlers(std::move(handlers_))
        , options(options_)
        , timer(poller_.executor())
        , again(poller_.executor())
        , reply_timer(poller_.executor())
        , held_timer(poller_.executor()) {}

    tunnel::FlowSeals& seals() override { return seals_of_session; }
    Resolved resolve(std::uint32_t mapping) override { return handlers.resolve(mapping); }
    void flow_answered(std::uint32_t mapping, tunnel::Answer answer) override {
        if (handlers.answered) handlers.answered(mapping, answer);
    }

    void flow_connected(HomeFlow&) override {
        --connecting;
        ++ready;
        pause = first_pause;
        fill();
    }

    void flow_taken(HomeFlow& flow) override {
        --ready;
        taken.insert(&flow);
        fill();
    }

    void flow_spoken(HomeFlow& flow) override {
        release(flow);
        await_replies();
    }

    // Of several flow connections with the same client, sent again for want of an answer, only the last
    // dials.
    bool flow_held(HomeFlow& flow) override {
        if (options.held == 0) return false;
        if (held.size() >= options.held) held_in_order.begin()->second->end_wait();
        const std::uint64_t number = ++last_held;
        held.emplace(&flow, number);
        held_in_order.emplace(number, &flow);
        const auto [same, first] = newest.try_emplace(WaitingClient{flow.mapping(), flow.client()}, &flow);
        if (!first) std::exchange(same->second, &flow)->supersede();
        ++held_mappings[flow.mapping()].flows;
        tell_of_hold(flow, Clock::now());
        look_at_held();
        return true;
    }

    void tell_of_hold(const HomeFlow& flow, Clock::time_point now) {
        HeldMapping& mapping = held_mappings[flow.mapping()];
        if (mapping.hold == flow.hold() && now - mapping.told < told_again) return;
        mapping.hold = flow.hold();
        mapping.told = now;
        if (handlers.holding) handlers.holding(flow.mapping(), flow.hold());
    }

    void release(HomeFlow& flow) {
        if (!flow.wait()) return; // nearly always
        const auto found = held.find(&flow);
        if (found == held.end()) return;
        held_in_order.erase(found->second);
        held.erase(found);
        const auto same = newest.find(WaitingClient{flow.mapping(), flow.client()});
        if (same != newest.end() && same->second == &flow) newest.erase(same);
        const auto mapping = held_mappings.find(flow.mapping());
        if (--mapping->second.flows > 0) return;
        held_mappings.erase(mapping);
        if (handlers.holding && !closed) handlers.holding(flow.mapping(), {});
    }

    void look_at_held() {
        if (held.empty()) return;
        held_timer.arm(held_interval, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            self->look_again(false);
            self->look_at_held();
        });
    }

    // Looking at one ends no other: those that end are destroyed after the current events.
    void look_again(bool news) {
        std::vector<HomeFlow*> all;
        all.reserve(held.size());
        for (const auto& [number, flow] : held_in_order)
            all.push_back(flow);
        const auto now = Clock::now();
        for (HomeFlow* flow : all) {
            flow->look_again(now, news);
            if (news && held.contains(flow)) tell_of_hold(*flow, now);
        }
    }

    void flow_over(HomeFlow& flow) override {
        // Closed right after it became idle: the edge did not accept it, and would not accept another at
        // once.
        const bool failed = flow.state() == HomeFlow::State::Connecting ||
                            (flow.state() == HomeFlow::State::Ready && !taken.contains(&flow) &&
                             Clock::now() - flow.since() < refused_within);
        forget(flow);
        retire(flow);
        if (!failed) return fill();
        not_before = Clock::now() + pause;
        pause = std::min(pause * 2, longest_pause);
        fill();
    }

    void flow_accepted(HomeFlow& flow) override {
        taken.erase(&flow);
        AcceptedFlow accepted;
        accepted.received = flow.take_received();
        accepted.application_polled = flow.application_polled();
        accepted.tls = flow.tls();
        accepted.tunnel = flow.take_tunnel();
        accepted.application = flow.take_application();
        accepted.page = flow.take_page();
        accepted.trouble = flow.trouble();
        accepted.mapping = flow.mapping();
        retire(flow);
        handlers.accept(std::move(accepted));
    }

    void forget(HomeFlow& flow) {
        if (taken.erase(&flow) != 0) return;
        if (flow.state() == HomeFlow::State::Connecting)
            --connecting;
        else
            --ready;
    }

    void retire(HomeFlow& flow) {
        const auto found = flows.find(&flow);
        if (found == flows.end()) return;
        release(flow);
        flow.drop();
        std::unique_ptr<HomeFlow> last = std::move(found->second);
        flows.erase(found);
        poller.retire(std::move(last));
    }

    // Opens missing flow connections, a bounded number at once; after a failure, only after a pause.
    void fill() {
        while (!closed && connecting + ready < wanted && connecting < options.connecting) {
            const auto now = Clock::now();
            if (now < not_before) return fill_later();
            if (!start(now)) {
                not_before = now + pause;
                pause = std::min(pause * 2, longest_pause);
            }
        }
        if (!closed && !flows.empty()) schedule_tick();
    }

    void fill_later() {
        again.arm(not_before - Clock::now(), [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->fill();
        });
    }

    bool start(Clock::time_point now) {
        net::UniqueFd socket(::socket(reinterpret_cast<const sockaddr&>(edge).sa_family,
                                      SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        if (!socket) return false;
        const int fd = socket.get();
        tunnel::set_flow_options(fd);
        tunnel::set_acknowledge_with_data(fd);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&edge), edge_size) != 0 && errno != EINPROGRESS)
            return false;
        auto flow = std::make_unique<HomeFlow>(*this, poller, std::move(socket),
                                               tunnel::FlowId{session, ++counter}, now);
        HomeFlow& reference = *flow;
        flows.emplace(&reference, std::move(flow));
        if (!poller.add(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, reference, 0)) {
            retire(reference);
            return false;
        }
        ++connecting;
        return true;
    }

    // Answers for applications that are slow to reply; one timer for all.
    void await_replies() {
        reply_timer.arm(reply_wait, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            const auto now = Clock::now();
            std::vector<HomeFlow*> late;
            bool more = false;
            for (HomeFlow* flow : self->taken) {
                if (flow->state() != HomeFlow::State::Spoken) continue;
                if (now - flow->since() >= reply_wait)
                    late.push_back(flow);
                else
                    more = true;
            }
            for (HomeFlow* flow : late)
                flow->accept();
            if (more) self->await_replies();
        });
    }

    void schedule_tick() {
        timer.arm(tick_interval, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->tick();
        });
    }

    void tick() {
        const auto now = Clock::now();
        std::vector<HomeFlow*> late;
        for (const auto& [flow, owner] : flows)
            if (now - flow->since() >= limit(flow->state())) late.push_back(flow);
        for (HomeFlow* flow : late) {
            if (flow->state() == HomeFlow::State::Dialing)
                flow->turn_away(tunnel::Answer::DialTimeout);
            else
                flow_over(*flow);
        }
        fill();
    }

    std::chrono::milliseconds limit(HomeFlow::State state) const {
        switch (state) {
        case HomeFlow::State::Connecting:
            return options.connect;
        case HomeFlow::State::Dialing:
            return options.dial;
        default:
            return options.stale;
        }
    }

    void close() {
        closed = true;
        timer.cancel();
        again.cancel();
        reply_timer.cancel();
        held_timer.cancel();
        while (!flows.empty())
            retire(*flows.begin()->first);
        taken.clear();
    }

    tunnel::Poller& poller;
    sockaddr_storage edge{};
    socklen_t edge_size = 0;
    std::string source; // as source_towards() gave it when the connections were begun
    std::uint64_t session;
    tunnel::FlowSeals seals_of_session;
    FlowHandlers handlers;
    FlowPoolOptions options;
    std::unordered_map<HomeFlow*, std::unique_ptr<HomeFlow>> flows;
    std::set<HomeFlow*> taken; // have a header but no answer yet
    // Of those, the ones that wait for their application.
    using WaitingClient = std::pair<std::uint32_t, net::Endpoint>; // mapping and client
    struct HeldMapping {
        std::size_t flows = 0;
        Clock::time_point told{};          // when the edge was told,
        std::chrono::milliseconds hold{0}; // and what
    };
    std::unordered_map<HomeFlow*, std::uint64_t> held;
    std::map<std::uint64_t, HomeFlow*> held_in_order;
    std::map<WaitingClient, HomeFlow*> newest;
    std::map<std::uint32_t, HeldMapping> held_mappings;
    std::uint64_t last_held = 0;
    std::size_t wanted = 0;
    std::size_t connecting = 0;
    std::size_t ready = 0;
    std::uint64_t counter = 0;
    std::chrono::milliseconds pause = first_pause;
    Clock::time_point not_before{};
    net::OneShotTimer timer;
    net::OneShotTimer again;
    net::OneShotTimer reply_timer;
    net::OneShotTimer held_timer;
    bool closed = false;
};

FlowPool::FlowPool(tunnel::Poller& poller, net::Endpoint edge, std::uint64_t session, tunnel::FlowSeals seals,
                   FlowHandlers handlers, FlowPoolOptions options)
    : state_(std::make_shared<State>(poller, session, std::move(seals), std::move(handlers), options)) {
    state_->edge_size = net::to_sockaddr(edge, state_->edge);
    state_->source = source_towards(state_->edge, state_->edge_size);
}

FlowPool::~FlowPool() {
    state_->close();
}

void FlowPool::want(std::uint32_t count) {
    state_->wanted = std::min<std::size_t>(count, state_->options.most);
    state_->fill();
}

void FlowPool::network_changed() {
    const auto source = source_towards(state_->edge, state_->edge_size);
    // Without a route to the edge, new ones would not help. With the same source address, they may still
    // work; if not, the session's probe detects it.
    if (source.empty() || source == state_->source) return;
    state_->source = source;
    std::vector<HomeFlow*> old;
    for (const auto& [flow, owner] : state_->flows)
        if (!state_->taken.contains(flow)) old.push_back(flow);
    for (HomeFlow* flow : old) {
        state_->forget(*flow);
        state_->retire(*flow);
    }
    state_->pause = first_pause;
    state_->not_before = {};
    state_->fill();
}

void FlowPool::mappings_changed() {
    state_->look_again(true);
}

std::size_t FlowPool::held() const noexcept {
    return state_->held.size();
}

std::size_t FlowPool::ready() const noexcept {
    return state_->ready;
}

} // namespace p2prc::connector
