// Replica and own state: what subscribers see, and what is there after a restart.
#include "core/revision.h"
#include "state/disk.h"
#include "state/origins.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace p2prc::state {
namespace {

namespace fs = std::filesystem;

class StateTest : public testing::Test {
  protected:
    std::string file(const char* name) const { return (directory_ / name).string(); }

    std::unique_ptr<Replica> replica(Disk& disk) {
        auto opened = Replica::open(file("replica.db"), disk);
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    std::unique_ptr<OwnState> own(Disk& disk) {
        auto opened = OwnState::open(file("own.db"), disk);
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }

    const net::TemporaryDirectory temporary_;
    const fs::path& directory_ = temporary_.path();
};

Result<void> flush(OwnState& own) {
    boost::asio::io_context loop;
    Result<void> outcome = fail(ErrorCode::Failed, "did not end");
    boost::asio::co_spawn(loop, own.flush(), [&](std::exception_ptr, Result<void> done) { outcome = done; });
    loop.run();
    return outcome;
}

TEST_F(StateTest, ASubscriberSeesWholeTransactions) {
    Disk disk;
    const auto r = replica(disk);
    r->reset("s", 1, {});
    std::vector<std::vector<Change>> seen;
    const auto subscription = r->subscribe("/a/", [&](std::span<const Change> changes) {
        EXPECT_NE(r->get("/a/2"), nullptr) << "the first change is told before the second is there";
        seen.emplace_back(changes.begin(), changes.end());
    });
    EXPECT_TRUE(r->apply("s", 2, {{"/a/1", 1, 2}, {"/b", 1, 2}, {"/a/2", 2, 2}}));
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0], (std::vector<Change>{{"/a/1", 1, 2}, {"/a/2", 2, 2}}));
    EXPECT_TRUE(r->apply("s", 3, {{"/b", 2, 3}}));
    EXPECT_EQ(seen.size(), 1u);
}

TEST_F(StateTest, WhatDoesNotFollowIsRefused) {
    Disk disk;
    const auto r = replica(disk);
    EXPECT_EQ(r->position(), FeedPosition());
    EXPECT_FALSE(r->apply("s", 5, {{"/a", 1, 5}}));
    r->reset("s", 5, {{"/a", 1, 5}});
    EXPECT_FALSE(r->apply("other", 6, {{"/a", 2, 6}}));
    EXPECT_FALSE(r->apply("s", 5, {{"/a", 2, 5}}));
    EXPECT_EQ(*r->get("/a"), 1);
    EXPECT_TRUE(r->apply("s", 9, {{"/a", std::nullopt, 9}}));
    EXPECT_EQ(r->get("/a"), nullptr);
}

TEST_F(StateTest, AResetTellsTheDifferencesOnly) {
    Disk disk;
    const auto r = replica(disk);
    r->reset("s", 5, {{"/same", 1, 1}, {"/gone", 1, 2}, {"/changed", 1, 3}});
    std::vector<Change> seen;
    const auto subscription = r->subscribe(
        "", [&](std::span<const Change> changes) { seen.assign(changes.begin(), changes.end()); });
    r->reset("t", 2, {{"/same", 1, 1}, {"/changed", 2, 2}, {"/new", 1, 2}});
    EXPECT_EQ(seen, (std::vector<Change>{{"/gone", std::nullopt, 2}, {"/changed", 2, 2}, {"/new", 1, 2}}));
    EXPECT_EQ(r->position(), (FeedPosition{"t", 2}));
}

TEST_F(StateTest, TheReplicaIsThereAfterARestart) {
    {
        Disk disk;
        const auto r = replica(disk);
        r->reset("s", 5, {{"/a", Json::parse(R"({"deep":[1,2]})"), 4}, {"/b", 1, 5}});
        r->apply("s", 6, {{"/b", std::nullopt, 6}, {"/c", "x", 6}});
    }
    Disk disk;
    const auto r = replica(disk);
    EXPECT_EQ(r->position(), (FeedPosition{"s", 6}));
    EXPECT_EQ(r->entries().size(), 2u);
    EXPECT_EQ(r->entries().find("/a")->second, (Entry{Document("/a", Json::parse(R"({"deep":[1,2]})")), 4}));
    EXPECT_EQ(*r->get("/c"), "x");
    EXPECT_TRUE(r->apply("s", 7, {{"/c", "y", 7}}));
}

// Some are held as text.
TEST_F(StateTest, ADocumentReadsTheSameHoweverItIsHeld) {
    Disk disk;
    const auto r = replica(disk);
    const auto value = Json::parse(R"({"name":"web","id":4294967295,"ratio":12.5,"text":"\u00e4"})");
    for (const std::string key : {"/processes/web", "/serving/home1/web.example", "/live/home1"}) {
        r->apply("", r->revision() + 1, {{key, value, 1}});
        const auto read = r->get(key);
        ASSERT_TRUE(read) << key;
        EXPECT_EQ(*read, value) << key;
        std::vector<Change> told;
        const auto subscription = r->subscribe(
            key, [&](std::span<const Change> changes) { told.assign(changes.begin(), changes.end()); });
        r->apply("", r->revision() + 1, {{key, value, 2}});
        EXPECT_TRUE(told.empty()) << "it is as it was: " << key;
        r->apply("", r->revision() + 1, {{key, std::nullopt, 3}});
        ASSERT_EQ(told.size(), 1U) << key;
        EXPECT_EQ(told[0].before, value) << key;
        EXPECT_FALSE(r->contains(key));
        EXPECT_EQ(*read, value) << "what was read stays";
    }
}

TEST_F(StateTest, ADamagedReplicaIsBegunAnew) {
    {
        Disk disk;
        replica(disk)->reset("s", 5, {{"/a", 1, 5}});
    }
    std::ofstream(file("replica.db")) << std::string(8192, 'x');
    Disk disk;
    const auto r = replica(disk);
    EXPECT_EQ(r->position(), FeedPosition());
    EXPECT_TRUE(r->entries().empty());
    EXPECT_TRUE(fs::exists(file("replica.db.damaged")));
}

TEST_F(StateTest, ADamagedOwnStateIsSetAsideAndBegunAnew) {
    const auto damage = [this](std::string_view bytes) {
        std::fstream out(file("own.db"), std::ios::in | std::ios::out | std::ios::binary);
        out << bytes;
    };
    {
        Disk disk;
        own(disk)->set("/status/a/1", Json{{"state", "running"}});
    }
    damage("no database at all");
    {
        Disk disk;
        const auto o = own(disk);
        EXPECT_TRUE(o->entries().empty());
        o->set("/status/a/1", Json{{"state", "stopped"}});
    }
    const auto aside = [this] {
        int found = 0;
        for (const auto& entry : fs::directory_iterator(directory_))
            found += entry.path().filename().string().starts_with("own.db.damaged-2");
        return found;
    };
    EXPECT_EQ(aside(), 1);
    Disk disk;
    EXPECT_EQ(own(disk)->entries().size(), 1U);
    EXPECT_EQ(aside(), 1);
}

TEST_F(StateTest, RangeIsByPrefixInOrder) {
    Disk disk;
    const auto r = replica(disk);
    r->reset("s", 1, {{"/b/2", 2, 1}, {"/b/1", 1, 1}, {"/c", 0, 1}, {"/a", 0, 1}});
    const auto found = r->range("/b/");
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].first, "/b/1");
    EXPECT_EQ(*found[1].second, 2);
}

TEST_F(StateTest, OwnStateIsThereAfterARestart) {
    {
        Disk disk;
        const auto o = own(disk);
        o->set("/status/home1/1", {{"state", "running"}});
        o->set("/local/home1/1", 1);
        o->erase("/local/home1/1");
        EXPECT_TRUE(flush(*o));
    }
    Disk disk;
    const auto o = own(disk);
    EXPECT_EQ(o->entries().size(), 1u);
    EXPECT_EQ(*o->get("/status/home1/1"), (Json{{"state", "running"}}));
}

TEST_F(StateTest, WhatIsFlushedIsOnDiskWhileItGoesOn) {
    Disk disk;
    const auto o = own(disk);
    for (int i = 0; i < 100; ++i)
        o->set("/k", i);
    ASSERT_TRUE(flush(*o));
    // As a power cut would leave it.
    for (const auto* suffix : {"", "-wal"})
        fs::copy_file(file("own.db") + suffix, file("cut.db") + suffix);
    const auto cut = OwnState::open(file("cut.db"), disk);
    ASSERT_TRUE(cut);
    EXPECT_EQ(*(*cut)->get("/k"), 99);
}

TEST_F(StateTest, AnEqualValueTellsNothing) {
    Disk disk;
    const auto o = own(disk);
    int told = 0;
    const auto subscription = o->subscribe("", [&](std::span<const Change>) { ++told; });
    o->set("/a", 1);
    o->set("/a", 1);
    o->erase("/missing");
    EXPECT_EQ(told, 1);
    EXPECT_EQ(o->revision(), 1u);
}

TEST_F(StateTest, ASubscriberThatWritesIsHeardAfterwards) {
    Disk disk;
    std::vector<std::string> seen;
    {
        const auto o = own(disk);
        const auto writer = o->subscribe("/a", [&](std::span<const Change> changes) {
            if (*changes[0].value == 1) o->update({{"/b", 1, 0}, {"/a", 2, 0}});
        });
        const auto reader = o->subscribe("", [&](std::span<const Change> changes) {
            for (const auto& change : changes)
                seen.push_back(change.key + "=" + change.value->dump());
        });
        o->set("/a", 1);
        ASSERT_TRUE(flush(*o));
    }
    EXPECT_THAT(seen, testing::ElementsAre("/a=1", "/b=1", "/a=2"));
    const auto o = own(disk);
    EXPECT_EQ(*o->get("/a"), 2) << "the disk has the later write";
}

TEST_F(StateTest, ASubscriberThatThrowsKeepsNobodyFromHearing) {
    Disk disk;
    const auto r = replica(disk);
    r->reset("s", 1, {});
    int broken = 0, heard = 0;
    const auto first = r->subscribe("/a", [&](std::span<const Change>) {
        ++broken;
        throw std::runtime_error("broken");
    });
    const auto second = r->subscribe("/a", [&](std::span<const Change>) { ++heard; });
    EXPECT_TRUE(r->apply("s", 2, {{"/a", 1, 2}}));
    EXPECT_TRUE(r->apply("s", 3, {{"/a", 2, 3}}));
    EXPECT_EQ(broken, 2);
    EXPECT_EQ(heard, 2);
}

TEST_F(StateTest, ASubscriptionEndsEvenWhileItIsTold) {
    Disk disk;
    const auto o = own(disk);
    int first = 0, second = 0;
    Subscription a, b;
    a = o->subscribe("", [&](std::span<const Change>) {
        ++first;
        a.reset();
        b.reset();
    });
    b = o->subscribe("", [&](std::span<const Change>) { ++second; });
    o->set("/a", 1);
    o->set("/a", 2);
    EXPECT_EQ(first, 1);
    EXPECT_EQ(second, 0);
}

TEST_F(StateTest, TextThatIsNotUtf8IsMended) {
    {
        Disk disk;
        const auto o = own(disk);
        o->set("/a", Json::array({"caf\xe9"}));
        EXPECT_TRUE(flush(*o));
    }
    Disk disk;
    EXPECT_EQ((*own(disk)->get("/a"))[0], "caf\xef\xbf\xbd");
}

TEST_F(StateTest, ASubscriptionMayOutliveTheState) {
    Subscription subscription;
    {
        Disk disk;
        subscription = own(disk)->subscribe("", [](std::span<const Change>) {});
    }
    subscription.reset();
}

TEST_F(StateTest, OneDeploymentForEachRequest) {
    Disk disk;
    const auto notes = own(disk);
    Origins origins(*notes);
    ProcessRecord record;
    record.id = 7;
    record.name = record.spec.name = "web";
    record.spec.deploy = {"script", "true"};
    const auto as = [&](std::uint32_t deployment, std::uint32_t revision) {
        auto other = record;
        other.deployment = deployment;
        other.revision = revision;
        return other;
    };
    EXPECT_FALSE(origins.note_redeployment(record)) << "it is of another node";
    // The first is whichever comes.
    EXPECT_TRUE(origins.note(record.spec));
    EXPECT_TRUE(origins.here(as(3, 3)));
    origins.bind(record.spec, {7, 4, 2}, nullptr);
    EXPECT_TRUE(origins.here(as(2, 4)));
    EXPECT_FALSE(origins.here(as(5, 5)));
    EXPECT_FALSE(origins.here(as(0, 5)));
    // One more, later than any so far; which one is known when it comes or when the answer does.
    EXPECT_TRUE(origins.note_redeployment(as(2, 4)));
    EXPECT_FALSE(origins.note_redeployment(as(2, 4)));
    EXPECT_FALSE(origins.here(as(4, 4)));
    origins.settle(as(2, 4));
    EXPECT_TRUE(origins.here(as(6, 6)));
    origins.settle(as(6, 6));
    EXPECT_TRUE(origins.here(as(2, 7))) << "it may be gone back to";
    EXPECT_FALSE(origins.here(as(7, 7)));
    // What is refused is taken back.
    EXPECT_TRUE(origins.note_redeployment(as(6, 6)));
    origins.take_back_redeployment(as(6, 6));
    EXPECT_FALSE(origins.here(as(7, 7)));
    // The same of a file that is spun again.
    EXPECT_TRUE(origins.note(record.spec));
    EXPECT_TRUE(origins.here(as(9, 9)));
    origins.take_back(record.spec);
    EXPECT_FALSE(origins.here(as(9, 9)));
    EXPECT_TRUE(origins.here(as(6, 6)));
    // A root that shows one and answers with another one.
    EXPECT_TRUE(origins.note(record.spec));
    origins.settle(as(9, 9));
    origins.bind(record.spec, {7, 10, 10}, nullptr);
    EXPECT_TRUE(origins.here(as(9, 10)));
    EXPECT_FALSE(origins.here(as(10, 10)));
    // Without a deployer there is nothing to run.
    record.spec.deploy = {};
    origins.note(record.spec);
    origins.bind(record.spec, {7, 8, 0}, nullptr);
    EXPECT_TRUE(origins.here(as(11, 11)));
}

// As many as the process has revisions, however often it is updated.
TEST_F(StateTest, OriginsOfForgottenRevisionsAreForgotten) {
    Disk disk;
    const auto notes = own(disk);
    Origins origins(*notes);
    const auto spec = [](std::uint32_t tasks) {
        ProcessSpec made;
        made.name = "web";
        made.run.command = {"/bin/true"};
        made.limits.tasks = tasks;
        return made;
    };
    ProcessRecord record;
    record.id = 7;
    record.name = "web";
    for (std::uint32_t number = 1; number <= 40; ++number) {
        Revision next;
        next.number = number;
        next.spec = spec(number);
        if (number == 1)
            apply_revision(record, next);
        else
            replace_revision(record, next, number == 2 ? Outcome::Good : Outcome::Superseded);
        // What is known here of the process is of a moment before.
        auto known = record;
        if (number > 1) apply_revision(known, record.former.back());
        origins.note(spec(number));
        origins.bind(spec(number), {7, number}, number > 1 ? &known : nullptr);
    }
    EXPECT_LE(notes->range(keys::spun_here).size(), most_former_revisions + 3);
    EXPECT_TRUE(origins.here(record));
    for (const auto& former : record.former) {
        apply_revision(record, former);
        EXPECT_TRUE(origins.here(record)) << former.number;
    }
    apply_revision(record, {.number = 5, .spec = spec(5)});
    EXPECT_FALSE(origins.here(record));
}

} // namespace
} // namespace p2prc::state
