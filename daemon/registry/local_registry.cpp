#include "daemon/registry/local_registry.h"

#include "core/json_members.h"
#include "daemon/state/disk.h"
#include "store/store.h"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace p2prc::daemon {
namespace {

Json parse(const std::string& text) {
    return Json::parse(text, nullptr, false);
}

Error no_registry() {
    return {ErrorCode::Unreachable, "this node keeps no registry any more"};
}

// One that follows. The store's watch and the loop both hold it; it falls silent when the subscription goes.
struct Follower {
    FeedSink sink;           // on the loop only; empty: it has ended
    FeedLost lost;           // the same
    std::uint64_t watch = 0; // on the disk thread only
};

} // namespace

struct LocalRegistry::Shared {
    // Closed on the disk thread, where all else that uses it runs but for the invitations, which the loop
    // asks for while `closed` is not set.
    std::unique_ptr<Registry> registry;
    Disk& disk;
    boost::asio::any_io_executor loop;
    std::string node;
    Role role = Role::Owner;
    bool closed = false; // on the loop only

    void deliver(const std::shared_ptr<Follower>& follower, FeedEvent event) {
        auto shared_event = std::make_shared<const FeedEvent>(std::move(event));
        boost::asio::post(loop, [follower, shared_event] {
            const auto sink = follower->sink; // it may end itself while it is called
            if (sink) sink(*shared_event);
        });
    }

    void lose(const std::shared_ptr<Follower>& follower, Error error) {
        boost::asio::post(loop, [follower, error = std::move(error)] {
            const auto lost = follower->lost;
            if (lost) lost(error);
        });
    }

    // On the disk thread, which is the only one that commits: nothing happens between the range and the
    // watch.
    void begin(const std::shared_ptr<Follower>& follower, FeedPosition position) {
        if (!registry) return lose(follower, no_registry());
        auto& store = registry->store();
        const auto id = store.store_id();
        const auto torn = std::make_shared<bool>(false);
        const auto callback = [this, follower, id, torn](const store::Commit& commit) {
            FeedEvent event{false, id, commit.revision, {}};
            for (const auto& change : commit.changes) {
                auto value = change.value ? std::optional(parse(*change.value)) : std::nullopt;
                if (value && value->is_discarded())
                    *torn = true;
                else
                    event.items.push_back({change.key, std::move(value), commit.revision});
            }
            deliver(follower, std::move(event));
        };
        if (position.store_id == id) {
            auto started = store.watch(replicated_table, "", position.revision + 1, callback);
            if (started && started->outcome == store::WatchOutcome::Watching) {
                follower->watch = started->id;
                if (!*torn) return;
                // A disk that fails has changed the past. What stands now was read when it was opened.
                end(follower);
            }
        }
        auto range = store.range(replicated_table, "");
        if (!range) return lose(follower, range.error());
        FeedEvent event{true, id, range->revision, {}};
        for (const auto& item : range->items)
            event.items.push_back({item.key, parse(item.value), item.revision});
        const auto revision = range->revision;
        deliver(follower, std::move(event));
        auto started = store.watch(replicated_table, "", revision + 1, callback);
        if (!started) return lose(follower, started.error());
        follower->watch = started->id;
    }

    void end(const std::shared_ptr<Follower>& follower) {
        if (registry && follower->watch) registry->store().unwatch(std::exchange(follower->watch, 0));
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
        shared->disk.post([shared = shared, follower = follower] { shared->end(follower); });
    }
};

LocalRegistry::LocalRegistry(std::unique_ptr<Registry> registry, Disk& disk,
                             boost::asio::any_io_executor loop)
    : shared_(std::make_shared<Shared>(Shared{std::move(registry), disk, std::move(loop), {}})) {}

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
    auto answer = std::make_shared<Result<Json>>();
    shared->disk.post(
        [shared, answer, actor = std::move(actor), method = std::move(method), params = std::move(params)] {
            if (shared->registry)
                *answer = shared->registry->execute(actor, method, params);
            else
                *answer = std::unexpected(no_registry());
        });
    // Comes back after the work above: the disk thread does one after the other.
    const auto disk = shared->disk.executor();
    co_await boost::asio::post(disk, boost::asio::use_awaitable);
    co_return std::move(*answer);
}

Subscription LocalRegistry::follow(FeedPosition position, FeedSink sink, FeedLost lost) {
    auto follower = std::make_shared<Follower>();
    follower->sink = std::move(sink);
    follower->lost = std::move(lost);
    const auto shared = shared_;
    shared->disk.post(
        [shared, follower, position = std::move(position)] { shared->begin(follower, position); });
    return Subscription(std::make_shared<Following>(shared, std::move(follower)));
}

std::optional<OpenInvitation> LocalRegistry::find_invitation(std::string_view id) const {
    if (shared_->closed) return std::nullopt;
    return shared_->registry->find_invitation(id);
}

Subscription feed_replica(LocalRegistry& registry, Replica& replica, FeedLost lost) {
    auto sink = [&replica](const FeedEvent& event) {
        if (event.reset)
            replica.reset(event.store_id, event.revision, event.items);
        else
            replica.apply(event.store_id, event.revision, event.items);
    };
    return registry.follow(replica.position(), std::move(sink), std::move(lost));
}

} // namespace p2prc::daemon
