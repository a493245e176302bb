// The registry beside an event loop: requests, and feeds from any position.
#include "registry/local_registry.h"
#include "registry/methods.h"
#include "state/disk.h"
#include "store/store.h"
#include "tests/unit/registry/fleet.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <future>
#include <optional>

namespace p2prc::registry::test {
namespace {

class LocalRegistryTest : public FleetTest {
  protected:
    LocalRegistryTest() {
        make_fleet();
        store_ = &registry_->store();
        local_ = std::make_unique<LocalRegistry>(std::move(registry_), disk_, loop_.get_executor());
        local_->act_as("root", Role::Owner);
    }
    ~LocalRegistryTest() override { settle(); }

    // Runs the loop until what was posted to the disk thread before has come back.
    void settle() {
        bool done = false;
        auto work = boost::asio::make_work_guard(loop_);
        disk_.post([&] { boost::asio::post(loop_, [&] { done = true; }); });
        while (!done)
            loop_.run_one();
        work.reset();
        loop_.poll();
        loop_.restart();
    }
    Result<Json> ask(std::string method, Json params) {
        Result<Json> answer = fail(ErrorCode::Failed, "no answer");
        boost::asio::co_spawn(loop_, local_->request(std::move(method), std::move(params)),
                              [&](std::exception_ptr, Result<Json> result) { answer = std::move(result); });
        settle();
        settle();
        return answer;
    }
    // Asks `count` times as a node; `answered` says who was answered when, and what.
    void ask_as(const Actor& actor, int count = 1) {
        for (int n = 0; n < count; ++n)
            boost::asio::co_spawn(loop_,
                                  local_->request_as(actor, "domain.unmap", {{"domain", "no.home.example"}}),
                                  [this, who = actor.node](std::exception_ptr, const Result<Json>& result) {
                                      answered_.emplace_back(who, result.error());
                                  });
        loop_.poll();
        loop_.restart();
    }
    void run_until_answered(std::size_t count) {
        auto work = boost::asio::make_work_guard(loop_);
        while (answered_.size() < count)
            loop_.run_one();
        work.reset();
        loop_.poll();
        loop_.restart();
    }
    // How many were answered before `node` first was.
    std::ptrdiff_t before(std::string_view node) const {
        return std::ranges::find(answered_, node, [](const auto& one) { return one.first; }) -
               answered_.begin();
    }
    state::Subscription follow(state::FeedPosition position) {
        return local_->follow(
            std::move(position),
            [this](const std::shared_ptr<const state::FeedStep>& step) { seen_.push_back(step->event()); },
            lost());
    }
    FeedLost lost() {
        return [this](const Error& error) { lost_.push_back(error); };
    }
    std::unique_ptr<state::Replica> replica() {
        auto opened = state::Replica::open((directory_ / "replica.db").string(), disk_);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }

    boost::asio::io_context loop_;
    state::Disk disk_; // its thread posts to the loop until it is joined
    store::Store* store_ = nullptr;
    std::unique_ptr<LocalRegistry> local_;
    std::vector<state::FeedEvent> seen_;
    std::vector<Error> lost_;
    std::vector<std::pair<std::string, Error>> answered_;
};

// The disk thread is busy while it lives.
class SlowDisk {
  public:
    explicit SlowDisk(state::Disk& disk) {
        disk.post([gate = gate_.get_future().share()] { gate.wait(); });
    }
    SlowDisk(const SlowDisk&) = delete;
    SlowDisk& operator=(const SlowDisk&) = delete;
    ~SlowDisk() { gate_.set_value(); }

  private:
    std::promise<void> gate_;
};

TEST_F(LocalRegistryTest, RequestsActAsThisNode) {
    const auto spun = ask("process.spin", {{"spec", spec("web")}, {"by", "alice@elsewhere"}});
    ASSERT_TRUE(spun) << spun.error().message;
    EXPECT_EQ((*spun)["node"], "root");
    EXPECT_EQ(ask("process.spin", {{"spec", spec("edge")}}).error().code, ErrorCode::InvalidSpec);
}

// A disk that fails may change what the store has of the past.
TEST_F(LocalRegistryTest, APastThatCannotBeReadIsNotFed) {
    const state::FeedPosition before{store_->store_id(), store_->revision()};
    for (const auto* value : {"{\"cut", "{\"whole\": 1}"}) {
        store::Txn txn;
        txn.then.push_back(store::put(std::string(replicated_table), "/live/home1", value));
        ASSERT_TRUE(store_->txn(txn));
    }
    const auto following = follow(before);
    settle();
    ASSERT_FALSE(seen_.empty());
    EXPECT_TRUE(seen_.back().reset);
    EXPECT_EQ(seen_.back().revision, store_->revision());
    for (const auto& event : seen_)
        for (const auto& item : event.items)
            EXPECT_FALSE(item.value && item.value->is_discarded()) << item.key;
    EXPECT_TRUE(lost_.empty());
}

// What one key has been in between is more than all that there is now.
TEST_F(LocalRegistryTest, APastThatIsLargerThanTheWholeStateIsNotFed) {
    const state::FeedPosition before{store_->store_id(), store_->revision()};
    for (int i = 0; i < 200; ++i) {
        store::Txn txn;
        txn.then.push_back(store::put(std::string(replicated_table), "/live/home1",
                                      Json{{"n", i}, {"text", std::string(100'000, 'x')}}.dump()));
        ASSERT_TRUE(store_->txn(txn));
    }
    const auto behind = follow(before);
    settle();
    ASSERT_EQ(seen_.size(), 1u);
    EXPECT_TRUE(seen_[0].reset);
    EXPECT_EQ(seen_[0].revision, store_->revision());
    seen_.clear();
    const auto nearly_there = follow({before.store_id, store_->revision() - 2});
    settle();
    ASSERT_EQ(seen_.size(), 2u);
    EXPECT_FALSE(seen_[0].reset);
}

TEST_F(LocalRegistryTest, TheFileBecomesSmallerOnceItHoldsLess) {
    const auto file = directory_ / "registry.db";
    for (const bool there : {true, false}) {
        for (int i = 0; i < 200; ++i) {
            store::Txn txn;
            const auto table = std::string(replicated_table), key = "/live/home" + std::to_string(i);
            txn.then.push_back(there ? store::put(table, key, Json(std::string(100'000, 'x')).dump())
                                     : store::erase(table, key));
            ASSERT_TRUE(store_->txn(txn));
        }
        EXPECT_GT(std::filesystem::file_size(file), 15u << 20);
    }
    ASSERT_TRUE(ask("process.spin", {{"spec", spec("web")}}));
    for (int i = 0; i < 40; ++i)
        settle();
    EXPECT_LT(std::filesystem::file_size(file), 4u << 20);
}

TEST_F(LocalRegistryTest, AReplicaFollowsAndResumes) {
    {
        const auto copy = replica();
        const auto feeding = feed_replica(*local_, *copy, lost());
        settle();
        EXPECT_NE(copy->get("/fleet"), nullptr);
        ASSERT_TRUE(ask("process.spin", {{"spec", spec("web")}}));
        settle();
        EXPECT_NE(copy->get("/processes/web"), nullptr);
        EXPECT_EQ(copy->revision(), store_->revision());
        EXPECT_EQ(copy->get("counters/process"), nullptr);
    }
    settle();
    ASSERT_TRUE(ask("process.kill", {{"process", "web"}}));
    const auto copy = replica();
    EXPECT_NE(copy->get("/processes/web"), nullptr) << "as it was";
    const auto feeding = feed_replica(*local_, *copy, lost());
    settle();
    EXPECT_EQ(copy->get("/processes/web"), nullptr);
}

TEST_F(LocalRegistryTest, AKnownPositionGetsTheChangesAnUnknownOneAReset) {
    const state::FeedPosition here{store_->store_id(), store_->revision()};
    ASSERT_TRUE(ask("process.spin", {{"spec", spec("web")}}));
    auto following = follow(here);
    settle();
    ASSERT_EQ(seen_.size(), 1u);
    EXPECT_FALSE(seen_[0].reset);
    EXPECT_EQ(seen_[0].revision, here.revision + 1);
    EXPECT_EQ(seen_[0].items.size(), 1u);
    for (const auto& position : {state::FeedPosition{}, state::FeedPosition{"another", here.revision},
                                 state::FeedPosition{here.store_id, here.revision + 99}}) {
        seen_.clear();
        following = follow(position);
        settle();
        ASSERT_EQ(seen_.size(), 1u);
        EXPECT_TRUE(seen_[0].reset);
        EXPECT_EQ(seen_[0].items.size(), 3u) << "fleet, node, process";
    }
    seen_.clear();
    following.reset();
    ASSERT_TRUE(ask("process.kill", {{"process", "web"}}));
    settle();
    EXPECT_TRUE(seen_.empty());
}

TEST_F(LocalRegistryTest, AFeedThatCannotGoOnSaysSoUnlessItHasEnded) {
    local_->close();
    auto following = follow({});
    auto ended = follow({});
    ended.reset();
    settle();
    ASSERT_EQ(lost_.size(), 1u);
    EXPECT_EQ(lost_[0].code, ErrorCode::Unreachable);
    EXPECT_TRUE(seen_.empty());
}

TEST_F(LocalRegistryTest, AClosedOneLetsGoOfItsFileForTheNext) {
    // The disk is slow: whatever has to be done there before is not done yet when the file is opened again.
    std::optional<SlowDisk> slow(disk_);
    Result<Json> asked_before = fail(ErrorCode::Failed, "no answer"), asked_after = asked_before;
    boost::asio::co_spawn(loop_, local_->request("process.spin", {{"spec", spec("web")}}),
                          [&](std::exception_ptr, Result<Json> result) { asked_before = std::move(result); });
    loop_.poll();
    loop_.restart();
    auto following = follow({});
    following.reset();
    local_->close();
    RegistryOptions options;
    options.file = (directory_ / "registry.db").string();
    // One that is closed while it is being opened is out of the way as well.
    const auto abandoned = std::make_shared<LocalRegistry>(nullptr, disk_, loop_.get_executor());
    const auto next = std::make_shared<LocalRegistry>(nullptr, disk_, loop_.get_executor());
    Result<void> opened = fail(ErrorCode::Failed, "no answer");
    boost::asio::co_spawn(loop_, abandoned->open(options), boost::asio::detached);
    loop_.poll();
    loop_.restart();
    abandoned->close();
    boost::asio::co_spawn(loop_, next->open(std::move(options)),
                          [&](std::exception_ptr, Result<void> result) { opened = std::move(result); });
    boost::asio::co_spawn(loop_, local_->request("process.spin", {{"spec", spec("late")}}),
                          [&](std::exception_ptr, Result<Json> result) { asked_after = std::move(result); });
    loop_.poll();
    loop_.restart();
    slow.reset();
    settle();
    settle();
    EXPECT_TRUE(asked_before) << asked_before.error().message;
    ASSERT_FALSE(asked_after);
    EXPECT_EQ(asked_after.error().code, ErrorCode::Unreachable);
    EXPECT_FALSE(local_->find_invitation("any"));
    ASSERT_TRUE(opened) << opened.error().message;
    next->act_as("root", Role::Owner);
    local_.reset();
    const auto copy = replica();
    const auto feeding = feed_replica(*next, *copy, lost());
    settle();
    EXPECT_NE(copy->get("/processes/web"), nullptr);
}

TEST_F(LocalRegistryTest, AFloodOfOneNodeIsWaitedForOnce) {
    std::optional<SlowDisk> slow(disk_);
    ask_as(member("home1"), 500);
    ask_as(member("home2"), 2);
    ask_as(stranger(), 1);
    ask_as(root(), 2);
    slow.reset();
    run_until_answered(505);
    EXPECT_LE(before("home2"), 1);
    EXPECT_LE(before(""), 2);
    EXPECT_LE(before("root"), 3);
    EXPECT_EQ(answered_.back().first, "home1");
}

TEST_F(LocalRegistryTest, RequestsOfOnesOwnUsersLeaveMembersTheirTurn) {
    std::optional<SlowDisk> slow(disk_);
    ask_as(root(), 500);
    ask_as(member("home1"));
    slow.reset();
    run_until_answered(501);
    EXPECT_LE(before("home1"), 1);
}

TEST_F(LocalRegistryTest, MoreThanMayWaitIsRefusedToItsNodeAlone) {
    std::optional<SlowDisk> slow(disk_);
    const auto count = static_cast<int>(max_waiting_requests) + 1; // one does not wait
    ask_as(member("home1"), count + 3);
    ASSERT_EQ(answered_.size(), 3u);
    EXPECT_THAT(answered_[0].second.message, HasSubstr("which is the most"));
    ask_as(member("home2"));
    EXPECT_EQ(answered_.size(), 3u);
    slow.reset();
    run_until_answered(3 + max_waiting_requests + 2);
}

TEST_F(LocalRegistryTest, AFeedBeginsInItsNodesTurn) {
    std::optional<SlowDisk> slow(disk_);
    ask_as(member("home1"), 10);
    std::vector<std::size_t> steps_at, caught_up_at; // how many were answered then
    const auto follow_as = [&](const std::string& node) {
        return local_->follow_as(
            node, {}, [&](const auto&) { steps_at.push_back(answered_.size()); }, lost(),
            [&] { caught_up_at.push_back(answered_.size()); });
    };
    const auto waits = follow_as("home1");
    const auto is_next = follow_as("home2");
    auto ended = follow_as("home1");
    ended.reset();
    ask_as(member("home1"), 5);
    slow.reset();
    run_until_answered(15);
    ASSERT_EQ(steps_at.size(), 2u);
    EXPECT_LE(steps_at[0], 1u);
    EXPECT_EQ(steps_at[1], 10u);
    EXPECT_EQ(caught_up_at, steps_at);
    EXPECT_TRUE(lost_.empty());
}

TEST_F(LocalRegistryTest, WhoWaitsWhenItIsClosedIsRefused) {
    std::optional<SlowDisk> slow(disk_);
    ask_as(member("home1"), 2);
    const auto caught_up = std::make_shared<bool>(false);
    const auto following =
        local_->follow_as("home1", {}, [](const auto&) {}, lost(), [caught_up] { *caught_up = true; });
    local_->close();
    slow.reset();
    run_until_answered(2);
    settle();
    EXPECT_EQ(answered_[0].second.code, ErrorCode::NotPermitted) << "under way";
    EXPECT_EQ(answered_[1].second.code, ErrorCode::Unreachable);
    ASSERT_EQ(lost_.size(), 1u);
    EXPECT_FALSE(*caught_up);
}

TEST(MethodTable, EveryMethodIsBuilt) {
    const net::TemporaryDirectory directory;
    RegistryOptions options;
    options.file = (directory.path() / "registry.db").string();
    auto registry = std::move(*Registry::open(std::move(options)));
    const Actor root{"root", Role::Owner, "admin", true};
    ASSERT_TRUE(registry->execute(root, "fleet.init", {{"name", "root"}}));
    for (const auto& method : method_table()) {
        const auto result = registry->execute(root, method.name, Json::object());
        if (!result) {
            EXPECT_NE(result.error().code, ErrorCode::NotSupported) << method.name;
        }
    }
}

} // namespace
} // namespace p2prc::registry::test
