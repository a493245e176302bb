// The registry beside an event loop: requests, and feeds from any position.
#include "daemon/registry/local_registry.h"
#include "daemon/registry/methods.h"
#include "daemon/state/disk.h"
#include "store/store.h"
#include "tests/unit/daemon/registry/fleet.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <future>

namespace p2prc::daemon::test {
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
    Subscription follow(FeedPosition position) {
        return local_->follow(
            std::move(position),
            [this](const std::shared_ptr<const FeedStep>& step) { seen_.push_back(step->event()); }, lost());
    }
    FeedLost lost() {
        return [this](const Error& error) { lost_.push_back(error); };
    }
    std::unique_ptr<Replica> replica() {
        auto opened = Replica::open((directory_ / "replica.db").string(), disk_);
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }

    boost::asio::io_context loop_;
    Disk disk_; // its thread posts to the loop until it is joined
    store::Store* store_ = nullptr;
    std::unique_ptr<LocalRegistry> local_;
    std::vector<FeedEvent> seen_;
    std::vector<Error> lost_;
};

TEST_F(LocalRegistryTest, RequestsActAsThisNode) {
    const auto spun = ask("process.spin", {{"spec", spec("web")}, {"by", "alice@elsewhere"}});
    ASSERT_TRUE(spun) << spun.error().message;
    EXPECT_EQ((*spun)["node"], "root");
    EXPECT_EQ(ask("process.spin", {{"spec", spec("edge")}}).error().code, ErrorCode::InvalidSpec);
}

// A disk that fails may change what the store has of the past.
TEST_F(LocalRegistryTest, APastThatCannotBeReadIsNotFed) {
    const FeedPosition before{store_->store_id(), store_->revision()};
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
    const FeedPosition here{store_->store_id(), store_->revision()};
    ASSERT_TRUE(ask("process.spin", {{"spec", spec("web")}}));
    auto following = follow(here);
    settle();
    ASSERT_EQ(seen_.size(), 1u);
    EXPECT_FALSE(seen_[0].reset);
    EXPECT_EQ(seen_[0].revision, here.revision + 1);
    EXPECT_EQ(seen_[0].items.size(), 1u);
    for (const auto& position : {FeedPosition{}, FeedPosition{"another", here.revision},
                                 FeedPosition{here.store_id, here.revision + 99}}) {
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
    std::promise<void> slow;
    disk_.post([gate = slow.get_future().share()] { gate.wait(); });
    auto following = follow({});
    Result<Json> asked_before = fail(ErrorCode::Failed, "no answer"), asked_after = asked_before;
    boost::asio::co_spawn(loop_, local_->request("process.spin", {{"spec", spec("web")}}),
                          [&](std::exception_ptr, Result<Json> result) { asked_before = std::move(result); });
    loop_.poll();
    loop_.restart();
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
    slow.set_value();
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
} // namespace p2prc::daemon::test
