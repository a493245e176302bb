#include "registry/local_registry.h"

#include "core/json_members.h"
#include "net/fair_slots.h"
#include "net/memory.h"
#include "state/disk.h"
#include "store/store.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <limits>
#include <optional>
#include <utility>

namespace p2prc::registry {
namespace {

Error no_registry() {
    return {ErrorCode::Unreachable, "this node does not hold the registry any more"};
}

// Whose turn it is: a node's name, or one of these, which are none.
const std::string this_node;
const std::string guests = "guests/";

const std::string& turn_of(const Actor& actor) {
    return actor.local ? this_node : actor.node.empty() ? guests : actor.node;
}

// One that follows. The list of them and the loop both hold it; it falls silent when the subscription goes.
// On the loop only:
struct Follower {
    FeedSink sink; // empty: it has ended
    FeedLost lost; // the same
    std::function<void()> caught_up;
    std::optional<net::FairSlots::Holder> turn; // while it begins
};

using Step = std::shared_ptr<const state::FeedStep>;
using Followers = std::vector<std::shared_ptr<Follower>>;

void hand_over(const std::shared_ptr<Follower>& follower, const Step& step) {
    const auto sink = follower->sink; // it may end itself while it is called
    if (sink) sink(step);
}

} // namespace

struct LocalRegistry::Shared : std::enable_shared_from_this<Shared> {
    Shared(std::unique_ptr<Registry> r, state::Disk& d, boost::asio::any_io_executor l)
        : registry(std::move(r))
        , disk(d)
        , loop(std::move(l)) {}

    // Closed on the disk thread, where all else that uses it runs but for the invitations, which the loop
    // asks for while `closed` is not set.
    std::unique_ptr<Registry> registry;
    state::Disk& disk;
    boost::asio::any_io_executor loop;
    std::string node;
    Role role = Role::Owner;
    bool closed = false;                                                 // on the loop only
    net::FairSlots turns = {std::numeric_limits<std::size_t>::max(), 1}; // the same

    // On the disk thread only. The list is never changed, but another one made: what is on its way to the
    // loop has the followers of its time.
    std::shared_ptr<const Followers> followers = std::make_shared<Followers>();
    std::uint64_t watch = 0;                          // of the store, for all of them
    std::weak_ptr<const state::FeedStep> whole_state; // the last one that somebody needed
    bool shrinking = false;                           // the next step is posted

    void deliver(std::shared_ptr<const Followers> to, Step step) {
        boost::asio::post(loop, [to = std::move(to), step = std::move(step)] {
            for (const auto& follower : *to)
                hand_over(follower, step);
        });
    }
    void deliver(const std::shared_ptr<Follower>& follower, Step step) {
        boost::asio::post(loop, [follower, step = std::move(step)] { hand_over(follower, step); });
    }

    void lose(const std::shared_ptr<Follower>& follower, Error error) {
        boost::asio::post(loop, [follower, error = std::move(error)] {
            follower->caught_up = nullptr;
            const auto lost = follower->lost;
            if (lost) lost(error);
        });
    }

    static Step step_of(const std::string& store_id, const store::Commit& commit) {
        auto step = std::make_shared<state::FeedStep>(state::FeedStep{false, store_id, commit.revision, {}});
        for (const auto& change : commit.changes)
            step->items.push_back({change.key, change.value, commit.revision});
        return step;
    }

    // One watch for all: a commit is made into a step once, however many follow.
    Result<void> watch_store() {
        if (watch != 0) return {};
        auto& store = registry->store();
        const auto id = store.store_id();
        auto started =
            store.watch(replicated_table, "", store.revision() + 1, [this, id](const store::Commit& commit) {
                if (!followers->empty()) deliver(followers, step_of(id, commit));
            });
        if (!started) return std::unexpected(started.error());
        watch = started->id;
        return {};
    }

    // What was committed after `revision`; nothing when that is not known any more, or a disk that fails has
    // changed it: what stands now was read when it was opened.
    std::optional<std::vector<Step>> steps_since(std::uint64_t revision) {
        auto& store = registry->store();
        std::vector<Step> steps;
        bool torn = false;
        const auto past = store.watch(replicated_table, "", revision + 1,
                                      [&, id = store.store_id()](const store::Commit& commit) {
                                          for (const auto& change : commit.changes)
                                              torn = torn || (change.value && !Json::accept(*change.value));
                                          steps.push_back(step_of(id, commit));
                                      });
        if (!past || past->outcome != store::WatchOutcome::Watching) return std::nullopt;
        store.unwatch(past->id);
        return torn ? std::nullopt : std::optional(std::move(steps));
    }

    Result<Step> read_whole_state() {
        auto& store = registry->store();
        auto range = store.range(replicated_table, "");
        if (!range) return std::unexpected(range.error());
        auto step =
            std::make_shared<state::FeedStep>(state::FeedStep{true, store.store_id(), range->revision, {}});
        step->items.reserve(range->items.size());
        for (auto& item : range->items)
            step->items.push_back({std::move(item.key), std::move(item.value), item.revision});
        whole_state = step;
        return step;
    }

    // On the disk thread, a step at a time: what is asked for comes between. Where it fails, the next change
    // does as well, and says so.
    void shrink_file() {
        if (!registry || shrinking || !registry->store().shrink().value_or(false)) return;
        shrinking = true;
        disk.post([self = shared_from_this()] {
            self->shrinking = false;
            self->shrink_file();
        });
    }

    // A node's turn is over, and it hears of it after what it was fed.
    void end_turn(const std::shared_ptr<Follower>& follower) {
        boost::asio::post(loop, [follower, loop = loop] {
            follower->turn.reset();
            net::release_memory_soon(loop); // it may have been fed everything
            const auto caught_up = std::exchange(follower->caught_up, nullptr);
            if (caught_up && follower->sink) caught_up();
        });
    }

    // On the disk thread, which is the only one that commits: nothing happens between the past and the list.
    void begin(const std::shared_ptr<Follower>& follower, const state::FeedPosition& position) {
        if (!registry) return lose(follower, no_registry());
        if (auto watching = watch_store(); !watching) return lose(follower, watching.error());
        std::optional<std::vector<Step>> past;
        if (position.store_id == registry->store().store_id()) past = steps_since(position.revision);
        // Many that need all of it share one copy, and what came after that.
        if (const auto whole = past ? nullptr : whole_state.lock()) {
            past = steps_since(whole->revision);
            if (past) past->insert(past->begin(), whole);
        }
        if (!past) {
            auto whole = read_whole_state();
            if (!whole) return lose(follower, whole.error());
            past.emplace({*whole});
        }
        for (auto& step : *past)
            deliver(follower, std::move(step));
        auto more = *followers;
        more.push_back(follower);
        followers = std::make_shared<const Followers>(std::move(more));
    }

    void end(const std::shared_ptr<Follower>& follower) {
        auto fewer = *followers;
        std::erase(fewer, follower);
        followers = std::make_shared<const Followers>(std::move(fewer));
    }
};

// What a Subscription holds.
struct LocalRegistry::Following {
    std::shared_ptr<Shared> shared;
    std::shared_ptr<Follower> follower;
    Following(std::shared_ptr<Shared> s, std::shared_ptr<Follower> f)
        : shared(std::move(s))
        , follower(std::move(f)) {}
    Following(const Following&) = delete;
    Following& operator=(const Following&) = delete;
    ~Following() {
        follower->sink = nullptr;
        follower->lost = nullptr;
        follower->caught_up = nullptr;
        shared->disk.post([shared = shared, follower = follower] { shared->end(follower); });
    }
};

LocalRegistry::LocalRegistry(std::unique_ptr<Registry> registry, state::Disk& disk,
                             boost::asio::any_io_executor loop)
    : shared_(std::make_shared<Shared>(std::move(registry), disk, std::move(loop))) {}

LocalRegistry::~LocalRegistry() {
    close();
}

boost::asio::awaitable<Result<void>> LocalRegistry::open(RegistryOptions options) {
    const auto shared = shared_;
    const auto outcome = std::make_shared<Result<void>>();
    shared->disk.post([shared, outcome, options = std::move(options)] {
        auto opened = Registry::open(options);
        if (opened)
            shared->registry = std::move(*opened);
        else
            *outcome = std::unexpected(opened.error());
    });
    const auto thread = shared->disk.executor();
    co_await boost::asio::post(thread, boost::asio::use_awaitable);
    co_return std::move(*outcome);
}

void LocalRegistry::close() {
    if (std::exchange(shared_->closed, true)) return;
    shared_->disk.post([shared = shared_] { shared->registry.reset(); });
}

void LocalRegistry::act_as(std::string node, Role role) {
    shared_->node = std::move(node);
    shared_->role = role;
}

boost::asio::awaitable<Result<Json>> LocalRegistry::request(std::string method, Json params) {
    Actor actor{shared_->node, shared_->role, {}, true};
    return request_as(std::move(actor), std::move(method), std::move(params));
}

boost::asio::awaitable<Result<Json>> LocalRegistry::request_as(Actor actor, std::string method, Json params) {
    const auto shared = shared_;
    auto whose = turn_of(actor);
    if (shared->turns.waiting(whose) >= max_waiting_requests)
        co_return fail(
            ErrorCode::Failed,
            fmt::format("{} requests of this node wait already, which is the most", max_waiting_requests),
            "wait for their answers");
    const auto turn = co_await shared->turns.acquire(std::move(whose));
    if (shared->closed) co_return std::unexpected(no_registry());
    auto answer = std::make_shared<Result<Json>>();
    shared->disk.post(
        [shared, answer, actor = std::move(actor), method = std::move(method), params = std::move(params)] {
            if (shared->registry)
                *answer = shared->registry->execute(actor, method, params);
            else
                *answer = std::unexpected(no_registry());
            shared->shrink_file();
        });
    // Comes back after the work above: the disk thread does one after the other.
    const auto disk = shared->disk.executor();
    co_await boost::asio::post(disk, boost::asio::use_awaitable);
    co_return std::move(*answer);
}

state::Subscription LocalRegistry::follow(state::FeedPosition position, FeedSink sink, FeedLost lost) {
    return follow_as(this_node, std::move(position), std::move(sink), std::move(lost), {});
}

state::Subscription LocalRegistry::follow_as(const std::string& node, state::FeedPosition position,
                                             FeedSink sink, FeedLost lost, std::function<void()> caught_up) {
    auto follower = std::make_shared<Follower>();
    follower->sink = std::move(sink);
    follower->lost = std::move(lost);
    follower->caught_up = std::move(caught_up);
    const auto shared = shared_;
    shared->turns.enter(node, [weak = std::weak_ptr(shared), follower,
                               position = std::move(position)](net::FairSlots::Holder turn) {
        const auto here = weak.lock();
        if (!here || !follower->sink) return;
        follower->turn.emplace(std::move(turn));
        here->disk.post([here, follower, position] {
            here->begin(follower, position);
            here->end_turn(follower);
        });
    });
    return state::Subscription(std::make_shared<Following>(shared, std::move(follower)));
}

std::optional<OpenInvitation> LocalRegistry::find_invitation(std::string_view id) const {
    if (shared_->closed) return std::nullopt;
    return shared_->registry->find_invitation(id);
}

state::Subscription feed_replica(LocalRegistry& registry, state::Replica& replica, FeedLost lost) {
    auto sink = [&replica](const std::shared_ptr<const state::FeedStep>& step) {
        auto event = step->event();
        if (event.reset)
            replica.reset(event.store_id, event.revision, std::move(event.items));
        else
            replica.apply(event.store_id, event.revision, std::move(event.items));
    };
    return registry.follow(replica.position(), std::move(sink), std::move(lost));
}

} // namespace p2prc::registry
