#include "daemon/fleet/hub.h"

#include "core/json_members.h"
#include "core/on_exit.h"
#include "core/process_usage.h"
#include "core/text.h"
#include "daemon/fleet/log_shares.h"
#include "daemon/fleet/shared_answer.h"
#include "daemon/fleet/usage_shares.h"
#include "link/feed_sender.h"
#include "link/session.h"
#include "net/clock.h"
#include "net/event.h"
#include "net/log.h"
#include "net/memory.h"
#include "net/spawn.h"
#include "registry/methods.h"
#include "state/find_process.h"
#include "state/fleet_state.h"

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <limits>
#include <map>
#include <set>

namespace p2prc::daemon {

namespace asio = boost::asio;

namespace {

constexpr auto goodbye_time = std::chrono::milliseconds(500);

// Of an answer to a member, which must fit into one frame of the control link (1 MiB).
constexpr std::size_t most_usage_text = std::size_t{960} << 10U;

// The answers of several members.
struct Gathered {
    explicit Gathered(const asio::any_io_executor& executor) : done(executor) {}
    UsageByNode nodes;
    std::size_t missing = 1; // whoever asks, until all have been asked
    net::Event done;
};

} // namespace

const NodeRecord* find_node_by_key(const state::State& state, std::string_view fingerprint) {
    const auto* entry = state.records().node_with_key(fingerprint);
    return entry ? entry->accepted() : nullptr;
}

struct Hub::State : std::enable_shared_from_this<State> {
    State(asio::any_io_executor e, registry::LocalRegistry& re, state::Replica& rp, HubOptions o)
        : executor(e)
        , registry(re)
        , replica(rp)
        , options(std::move(o))
        , tick(e)
        , logs(e) {}

    struct Member {
        std::string key;
        std::shared_ptr<link::Session> session;
        std::shared_ptr<link::FeedSender> sender;
        state::Subscription feed;
        std::shared_ptr<SharedAnswer> usage; // null: its version does not measure for others
    };

    asio::awaitable<void> run(std::shared_ptr<State> self, std::shared_ptr<link::Session> session,
                              net::Endpoint source);
    Result<void> check_method(const std::string& method) const;
    asio::awaitable<Result<Json>> serve_request(std::shared_ptr<State> self, std::string node,
                                                std::string method, Json params);
    asio::awaitable<Result<std::unique_ptr<link::TextStream>>> open_stream(std::shared_ptr<State> self,
                                                                           std::string reader,
                                                                           std::string node,
                                                                           std::string method, Json params);
    asio::awaitable<Result<std::unique_ptr<link::TextStream>>> open_logs_of(std::string node, Json params);
    asio::awaitable<void> say_goodbye(std::shared_ptr<State> self, std::string node);
    asio::awaitable<void> judge(std::shared_ptr<State> self);
    asio::awaitable<void> judge_one(std::string node);
    asio::awaitable<void> sweep();
    asio::awaitable<Json> usage(std::shared_ptr<State> self, std::string reader, std::string node);
    asio::awaitable<void> gather(std::shared_ptr<State> self, std::shared_ptr<Gathered> gathered,
                                 std::string node, std::shared_ptr<link::Session> session,
                                 std::shared_ptr<SharedAnswer> shared);
    asio::awaitable<Result<Json>> ask_usage(std::shared_ptr<State> self,
                                            std::shared_ptr<link::Session> session, std::string node);
    void drop_removed();
    void look();
    link::SessionHandlers handlers(const std::string& node);

    asio::any_io_executor executor;
    registry::LocalRegistry& registry;
    state::Replica& replica;
    HubOptions options;
    net::Event tick;
    LogShares logs;                                          // that are passed
    std::map<std::string, Member> members;                   // by node name, connected
    std::map<std::string, std::chrono::nanoseconds> heard;   // boot time of the last sign of each node
    std::map<std::string, std::chrono::nanoseconds> awaited; // since when one that was not heard of is
    std::optional<std::chrono::nanoseconds> last_look;
    std::set<std::string> leaving; // nodes whose node.leave is being answered
    state::Subscription nodes;
    bool stopped = false;
};

Hub::Hub(asio::any_io_executor executor, registry::LocalRegistry& registry, state::Replica& replica,
         HubOptions options)
    : state_(std::make_shared<State>(executor, registry, replica, std::move(options))) {
    state_->nodes = replica.subscribe(std::string(keys::nodes),
                                      [weak = std::weak_ptr(state_)](std::span<const state::Change>) {
                                          if (const auto state = weak.lock()) state->drop_removed();
                                      });
    net::spawn_loop(executor, "checking which nodes are lost",
                    [state = state_] { return state->judge(state); });
}

Hub::~Hub() {
    state_->stopped = true;
    state_->nodes.reset();
    for (const auto& [node, member] : std::exchange(state_->members, {}))
        member.session->close();
    state_->tick.set();
}

void Hub::look() {
    state_->look();
}

bool Hub::is_member(std::string_view fingerprint) const {
    return find_node_by_key(state_->replica, fingerprint) != nullptr;
}

void Hub::serve(net::TlsStream stream, net::Endpoint source) {
    const auto session = link::Session::make(state_->executor, std::move(stream));
    asio::co_spawn(state_->executor, state_->run(state_, session, source),
                   net::ReportFailure("serving a member's control link"));
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> Hub::open_stream(std::string node,
                                                                            std::string method, Json params) {
    return state_->open_stream(state_, "", std::move(node), std::move(method), std::move(params));
}

asio::awaitable<Json> Hub::usage(std::string node) {
    return state_->usage(state_, "", std::move(node));
}

// The removal of a node's record, or another key in it, ends its session at once.
void Hub::State::drop_removed() {
    std::vector<std::string> gone;
    for (const auto& [node, member] : members) {
        if (leaving.contains(node)) continue;
        const auto* record = find_node_by_key(replica, member.key);
        if (!record || record->name != node) gone.push_back(node);
    }
    for (const auto& node : gone) {
        const auto member = members.extract(node);
        member.mapped().session->close(Error{ErrorCode::NotPermitted, "the node was removed from the fleet"});
        heard.erase(node);
    }
}

// However many look, and however often: once a while is enough for all of them.
void Hub::State::look() {
    const auto now = net::boottime();
    if (last_look && now - *last_look < look_pause) return;
    last_look = now;
    for (const auto& [node, member] : members)
        member.session->send({{"event", "look"}});
}

link::SessionHandlers Hub::State::handlers(const std::string& node) {
    link::SessionHandlers handlers;
    const std::weak_ptr<State> weak = weak_from_this();
    handlers.request = [self = shared_from_this(), node](std::string method, Json params) {
        return self->serve_request(self, node, std::move(method), std::move(params));
    };
    handlers.stream = [self = shared_from_this(), node](std::string method, Json params) {
        const auto target = json::member<std::string>(params, "node");
        return self->open_stream(self, node, target, std::move(method), std::move(params));
    };
    handlers.event = [weak](const Json& event) {
        const auto self = weak.lock();
        if (!self || json::member<std::string>(event, "event") != "look") return;
        self->look();
        if (self->options.looked) self->options.looked();
    };
    handlers.heard = [weak, node] {
        if (const auto self = weak.lock()) self->heard[node] = net::boottime();
    };
    return handlers;
}

asio::awaitable<void> Hub::State::run(std::shared_ptr<State> /* keeps it alive */,
                                      std::shared_ptr<link::Session> session, net::Endpoint source) {
    const auto key = session->tls().peer_fingerprint();
    const auto* record = find_node_by_key(replica, key);
    if (!record || stopped) co_return;
    const auto node = record->name;
    Json mine{{"version", P2PRC_VERSION},        {"features", {"logs", "usage"}},
              {"node", options.node_name()},     {"name", node},
              {"role", role_name(record->role)}, {"source", source.address.text()},
              {"store_id", replica.store_id()},  {"revision", replica.revision()}};
    const auto hello = co_await session->exchange_hello(std::move(mine), options.timing.hello);
    if (!hello) {
        net::log_info("control: node " + node + ": " + hello.error().message);
        co_return;
    }
    const auto* again = find_node_by_key(replica, key);
    if (!again || again->name != node || stopped) {
        session->close();
        co_return;
    }
    // A node that dials again has lost the connection that it had.
    if (const auto old = members.extract(node))
        old.mapped().session->close(Error{ErrorCode::Unreachable, "the node has connected again"});
    net::log_info("node " + node + " is connected, from " + source.text());
    heard[node] = net::boottime();

    state::FeedPosition position;
    if (const auto id = hello->find("store_id"); id != hello->end() && id->is_string())
        position.store_id = *id;
    if (const auto at = hello->find("revision"); at != hello->end() && at->is_number_unsigned())
        position.revision = *at;
    const auto sender = std::make_shared<link::FeedSender>(executor, session);
    Member member{key, session, sender, {}, {}};
    const auto features = json::member<std::vector<std::string>>(*hello, "features");
    if (std::ranges::find(features, "usage") != features.end())
        member.usage = std::make_shared<SharedAnswer>(executor, options.timing.usage_fresh);
    auto sink = [weak = std::weak_ptr(sender)](const std::shared_ptr<const state::FeedStep>& step) {
        if (const auto to = weak.lock()) to->push(step);
    };
    // It dials again, and asks again.
    auto lost = [weak_session = std::weak_ptr(session)](const Error& error) {
        if (const auto to = weak_session.lock()) to->close(error);
    };
    auto caught_up = [weak = std::weak_ptr(sender)] {
        if (const auto to = weak.lock()) to->push(Json{{"event", "synced"}});
    };
    member.feed = registry.follow_as(node, position, std::move(sink), std::move(lost), std::move(caught_up));
    members[node] = std::move(member);
    asio::co_spawn(executor, judge_one(node), net::ReportFailure("checking a node"));

    auto serving = handlers(node);
    const auto reason = co_await session->run(std::move(serving));
    net::release_memory_soon(executor); // much may have waited for it
    if (const auto it = members.find(node); it != members.end() && it->second.session == session) {
        members.erase(it);
        net::log_notice("node " + node + " is disconnected: " + reason.message);
        if (!stopped) co_await judge_one(node);
    }
}

// Removes invitations and challenges that have run out.
asio::awaitable<void> Hub::State::sweep() {
    Json none = Json::object();
    const auto swept = co_await registry.request("registry.sweep", std::move(none));
    if (!swept) net::log_warning("the registry cannot be swept: " + swept.error().message);
}

// What a member may ask for on its link. The registry judges by itself; this is the second line.
Result<void> Hub::State::check_method(const std::string& method) const {
    const auto* row = registry::find_method(method);
    if (!row) return fail(ErrorCode::NotSupported, "'" + text::excerpt(method) + "' is not in this version");
    if (row->access == registry::Access::Local || row->access == registry::Access::Guest)
        return fail(ErrorCode::NotPermitted, "'" + method + "' is not for members of the fleet");
    return {};
}

asio::awaitable<Result<Json>> Hub::State::serve_request(std::shared_ptr<State> /* keeps it alive */,
                                                        std::string node, std::string method, Json params) {
    const auto member = members.find(node);
    if (member == members.end()) co_return fail(ErrorCode::NotPermitted, "node " + node + " was removed");
    const auto* record = find_node_by_key(replica, member->second.key);
    if (!record) co_return fail(ErrorCode::NotPermitted, "node " + node + " was removed");
    if (method == "usage") {
        auto target = json::member<std::string>(params, "node");
        co_return co_await usage(shared_from_this(), record->name, std::move(target));
    }
    if (const auto may = check_method(method); !may) co_return std::unexpected(may.error());
    const auto sender = member->second.sender;
    registry::Actor actor;
    actor.node = record->name;
    actor.role = record->role;
    if (method != "node.leave") {
        auto answer = co_await registry.request_as(std::move(actor), std::move(method), std::move(params));
        // Whoever hears the answer has seen the change: the feed goes first.
        co_await sender->caught_up();
        co_return answer;
    }
    // It gets its answer before its session ends.
    leaving.insert(node);
    auto left = co_await registry.request_as(std::move(actor), std::move(method), std::move(params));
    asio::co_spawn(executor, say_goodbye(shared_from_this(), node),
                   net::ReportFailure("ending a removed node's link"));
    co_return left;
}

// `reader` has measured by itself what it runs.
asio::awaitable<Json> Hub::State::usage(std::shared_ptr<State> /* keeps it alive */, std::string reader,
                                        std::string node) {
    const auto gathered = std::make_shared<Gathered>(executor);
    for (const auto& [name, member] : members) {
        if (!member.usage || name == reader || (!node.empty() && name != node)) continue;
        ++gathered->missing;
        asio::co_spawn(executor, gather(shared_from_this(), gathered, name, member.session, member.usage),
                       net::ReportFailure("asking a node what its processes use"));
    }
    const auto own = options.node_name();
    const bool asked = !reader.empty() && (node.empty() || node == own);
    if (asked && options.measure_usage) {
        const auto measured = co_await options.measure_usage();
        if (measured) gathered->nodes[own] = node_usage_from_json(*measured);
    }
    if (--gathered->missing > 0) co_await gathered->done.wait();
    // What stays on this machine goes through no frame.
    const auto room = reader.empty() ? std::numeric_limits<std::size_t>::max() : most_usage_text;
    co_return share_usage(gathered->nodes, room);
}

asio::awaitable<void> Hub::State::gather(std::shared_ptr<State> self, std::shared_ptr<Gathered> gathered,
                                         std::string node, std::shared_ptr<link::Session> session,
                                         std::shared_ptr<SharedAnswer> shared) {
    // Whoever asked waits for all, also for one of which the answer cannot be read.
    const OnExit answered([gathered] {
        if (--gathered->missing == 0) gathered->done.set();
    });
    const SharedAnswer::Ask ask = [self, session, node]() -> asio::awaitable<Result<Json>> {
        return self->ask_usage(self, session, node);
    };
    const auto answer = co_await shared->get(ask);
    if (answer) gathered->nodes[node] = node_usage_from_json(*answer);
}

// What a member says of others than its own processes is dropped at once: it may invent any number of them.
asio::awaitable<Result<Json>> Hub::State::ask_usage(std::shared_ptr<State> /* keeps it alive */,
                                                    std::shared_ptr<link::Session> session,
                                                    std::string node) {
    Json nothing = Json::object();
    const auto answer = co_await session->request("usage", std::move(nothing), options.timing.usage);
    if (!answer) co_return std::unexpected(answer.error());
    auto usage = node_usage_from_json(*answer);
    std::erase_if(usage.processes, [this, &node](const auto& row) {
        const auto* entry = replica.records().process(row.first);
        return !entry || entry->record.node != node;
    });
    co_return to_json(usage);
}

asio::awaitable<void> Hub::State::say_goodbye(std::shared_ptr<State> /* keeps it alive */, std::string node) {
    net::Event pause(executor);
    co_await pause.wait(goodbye_time);
    leaving.erase(node);
    drop_removed();
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>>
Hub::State::open_stream(std::shared_ptr<State> /* keeps it alive */, std::string reader, std::string node,
                        std::string method, Json params) {
    if (method != "logs") co_return fail(ErrorCode::NotSupported, "'" + method + "' is not in this version");
    if (node.empty()) co_return fail(ErrorCode::InvalidSpec, "'" + method + "' names no node");
    auto share = logs.take(reader, node);
    if (!share) co_return std::unexpected(share.error());
    auto stream = co_await open_logs_of(node, std::move(params));
    if (!stream) co_return std::unexpected(stream.error());
    co_return logs.hold(std::move(*stream), std::move(*share));
}

asio::awaitable<Result<std::unique_ptr<link::TextStream>>> Hub::State::open_logs_of(std::string node,
                                                                                    Json params) {
    if (node == options.node_name()) {
        if (options.open_logs) co_return co_await options.open_logs(std::move(params));
        co_return fail(ErrorCode::NotSupported, "logs are not in this version");
    }
    if (!replica.get(keys::node(node))) {
        std::vector<std::string> known;
        for (const auto& [name, entry] : replica.records().nodes())
            known.push_back(name);
        co_return std::unexpected(state::no_such_node(node, known));
    }
    const auto member = members.find(node);
    if (member == members.end())
        co_return fail(ErrorCode::Unreachable, "node '" + node + "' is not connected to the root",
                       "see p2prc nodes show " + node);
    const auto session = member->second.session;
    std::string method = "logs";
    co_return co_await session->open_stream(std::move(method), std::move(params));
}

// Writes a transition of a node's state, and nothing while it stays.
asio::awaitable<void> Hub::State::judge_one(std::string node) {
    const auto self = shared_from_this();
    if (stopped) co_return;
    const auto& timing = options.timing;
    const auto live = replica.get(keys::live(node));
    const auto before = live ? json::member<std::string>(*live, "state") : std::string();
    const auto sign = heard.find(node);
    const bool ever = sign != heard.end();
    const auto silence =
        net::boottime() - (ever ? sign->second : awaited.try_emplace(node, net::boottime()).first->second);
    const auto member = members.find(node);
    const bool connected = member != members.end();
    // It stays lost, since when it was, until it is heard of; a start of the root changes nothing about that.
    if (!ever && before == "lost") co_return;
    // Nodes that are not there yet since the root started, or dial again, keep their state for a while.
    if (!connected && silence <= timing.suspect) co_return;
    const std::string state = silence > timing.lost ? "lost" : silence > timing.suspect ? "suspect" : "up";
    if (connected && state == "lost")
        member->second.session->close(Error{ErrorCode::Unreachable, "the node is silent"});
    if (before == state) co_return;
    Json params{{"node", node}, {"state", state}};
    if (ever)
        params["heard"] =
            net::to_rfc3339(std::chrono::system_clock::now() -
                            std::chrono::duration_cast<std::chrono::system_clock::duration>(silence));
    const auto written = co_await registry.request("node.live", std::move(params));
    if (!written)
        net::log_warning("node " + node + ": " + written.error().message);
    else
        net::log_info("node " + node + " is " + state);
}

asio::awaitable<void> Hub::State::judge(std::shared_ptr<State> /* keeps it alive */) {
    auto swept = net::boottime();
    while (!stopped) {
        if (net::boottime() - swept > options.timing.sweep) {
            swept = net::boottime();
            co_await sweep();
        }
        std::vector<std::string> nodes_now;
        for (const auto& [name, entry] : replica.records().nodes())
            if (entry.accepted() && name != options.node_name()) nodes_now.push_back(name);
        for (const auto& node : nodes_now)
            co_await judge_one(node);
        if (!stopped) co_await tick.wait(options.timing.tick);
    }
}

} // namespace p2prc::daemon
