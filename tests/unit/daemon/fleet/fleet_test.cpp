// Whole fleets over real TLS, real stores and loopback: init, join, requests, removal, reconnection, leaving.
#include "core/process_usage.h"
#include "daemon/fleet/fleet.h"
#include "daemon/fleet/local_spin.h"
#include "daemon/fleet/member_link.h"
#include "daemon/fleet/units.h"
#include "link/join.h"
#include "link/token.h"
#include "registry/registry.h"
#include "state/origins.h"
#include "state/owner_notes.h"
#include "state/pauses.h"
#include "store/sqlite.h"
#include "tests/unit/daemon/fleet/relay.h"
#include "tests/unit/daemon/fleet/test_node.h"
#include "tests/unit/support/power_cut.h"
#include "tests/unit/support/rethrow.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <future>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

class FleetTest : public testing::Test {
  protected:
    FleetTest() : root(loop, "attic", true), home(loop, "cellar", false), relay(loop, root.socket_path()) {
        root.root_port = home.root_port = relay.port();
        root.make();
        home.make();
    }

    // Runs `body`, a member coroutine's lambda, to its end.
    template <class Body>
    void play(Body body) {
        bool done = false;
        asio::co_spawn(loop, body(), [&](std::exception_ptr failure) {
            try {
                if (failure) std::rethrow_exception(failure);
            } catch (const std::exception& error) {
                ADD_FAILURE() << error.what();
            }
            done = true;
            home.fleet.reset();
            root.fleet.reset();
            relay.stop();
        });
        loop.run_for(30s);
        EXPECT_TRUE(done);
        EXPECT_TRUE(loop.stopped()) << "something of a fleet lives on";
    }

    // Waits until `condition` holds; a bound, not a measurement.
    asio::awaitable<bool> until(std::function<bool()> condition) {
        asio::steady_timer timer(loop);
        for (int i = 0; i < 1000; ++i) {
            if (condition()) co_return true;
            timer.expires_after(10ms);
            co_await timer.async_wait(net::as_result);
        }
        co_return false;
    }

    asio::awaitable<std::string> make_root() {
        EXPECT_TRUE(co_await root.fleet->start());
        Json options{{"domain", "home.example"}, {"public_ips", {"127.0.0.1"}}};
        const auto made = co_await root.fleet->init(options, "admin@attic");
        EXPECT_TRUE(made) << made.error().message;
        if (made) {
            EXPECT_EQ((*made)["records"].size(), 2U);
            EXPECT_EQ((*made)["records"][0]["type"], "NS");
        }
        co_return co_await new_token();
    }
    asio::awaitable<std::string> new_token(std::uint64_t seconds = 3600) {
        const auto invitation = co_await root.fleet->invite("member", seconds, "admin@attic");
        EXPECT_TRUE(invitation) << invitation.error().message;
        co_return invitation ? (*invitation)["token"].get<std::string>() : std::string();
    }
    asio::awaitable<void> make_both() {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
    }
    static Json spin_params(const std::string& name) {
        return {{"spec", {{"name", name}, {"port", 0}, {"run", {{"command", {"/bin/true"}}}}}},
                {"by", "user@cellar"}};
    }
    // One process on each, of which the root knows.
    asio::awaitable<void> spin_on_each(std::vector<TestNode*> nodes) {
        for (auto* node : nodes) {
            auto params = spin_params("of-" + node->fleet->node_name());
            const auto spun = co_await node->fleet->gateway().request("process.spin", std::move(params));
            EXPECT_TRUE(spun) << spun.error().message;
            EXPECT_TRUE(co_await until(
                [&] { return node->replica->contains("/processes/of-" + node->fleet->node_name()); }));
        }
    }
    // A further node, which reaches the root as `home` does.
    void make(TestNode& node) const {
        node.root_port = relay.port();
        node.make();
    }
    asio::awaitable<void> spin_on_three(TestNode& third) {
        co_await make_both();
        EXPECT_TRUE(co_await third.fleet->start());
        const auto token = co_await new_token();
        EXPECT_TRUE(co_await third.fleet->join(token, "", "admin@" + third.fleet->node_name()));
        std::vector<TestNode*> nodes{&root, &home, &third};
        co_await spin_on_each(std::move(nodes));
    }
    // "of NODE": what the root knows to run there has been measured there, and nothing else.
    std::string measured(const Json& usage, const std::string& node) const {
        const auto rows = node_usage_from_json(usage.value(node, Json())).processes;
        const auto* process = root.replica->records().process("of-" + node);
        if (!process || rows.size() != 1) return std::to_string(rows.size()) + " rows";
        const auto row = rows.find(process->record.id);
        return row == rows.end() ? "of another" : "of " + row->second.invocation;
    }
    // As a user of that node does.
    asio::awaitable<Result<Json>> spin_at_home(Json params) {
        params["node"] = home.fleet->node_name();
        auto spec = *spec_from_document(params["spec"]);
        co_return co_await spin_here(*home.fleet, *home.own, *home.replica, params["node"], std::move(spec),
                                     std::move(params));
    }
    static std::string text(const state::State& state, const std::string& key, const char* member) {
        const auto value = state.get(key);
        return value ? value->value(member, std::string()) : std::string("(none)");
    }

    asio::io_context loop;
    TestNode root, home;
    Relay relay;
};

TEST_F(FleetTest, AMistypedZoneGivesWay) {
    play([this]() -> asio::awaitable<void> {
        co_await make_root();
        const auto before = root.fleet->web_ca();
        Json right{{"domain", "right.example"}, {"public_ips", {"127.0.0.1"}}};
        const auto made = co_await root.fleet->init(right, "admin@attic");
        EXPECT_TRUE(made) << made.error().message;
        if (!made) co_return;
        EXPECT_EQ((*made)["domain"], "right.example");
        const auto after = root.fleet->web_ca();
        EXPECT_TRUE(before && after && *before != *after) << "an authority of its own";
        EXPECT_TRUE(co_await until([&] { return text(*root.replica, "/fleet", "zone") == "right.example"; }));
        EXPECT_EQ(text(*root.replica, "/fleet", "web_ca"), after.value_or(""));
        // With another member it stays, and so does its authority.
        EXPECT_TRUE(co_await home.fleet->start());
        const auto token = co_await new_token();
        EXPECT_TRUE(co_await home.fleet->join(token, "", "admin@cellar"));
        Json again{{"domain", "again.example"}, {"public_ips", {"127.0.0.1"}}};
        EXPECT_FALSE(co_await root.fleet->init(again, "admin@attic"));
        EXPECT_EQ(root.fleet->web_ca().value_or(""), after.value_or(""));
    });
}

TEST_F(FleetTest, AnInvitationDoesNotGiveAnothersKey) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto before = text(*root.replica, "/nodes/cellar", "key");
        const auto token = link::decode_token(co_await new_token());
        const auto thief = net::Identity::generate();
        Json params{{"name", "thief"}, {"key", before}};
        const auto admitted = co_await link::redeem(loop.get_executor(), *token, *thief, params);
        EXPECT_TRUE(admitted) << admitted.error().message;
        EXPECT_TRUE(co_await until([&] { return root.replica->contains("/nodes/thief"); }));
        EXPECT_EQ(text(*root.replica, "/nodes/thief", "key"), thief->fingerprint());
        EXPECT_EQ(text(*root.replica, "/nodes/cellar", "key"), before) << "its key would have put it out";
    });
}

TEST_F(FleetTest, JoinBringsProcessesAlongAndKeepsBothInStep) {
    play([this]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(home.fleet->is_root());
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        const auto port = (*home.replica->get("/processes/calendar"))["port"];

        Json former{{"up", false}, {"detail", "of a fleet that it has left"}};
        home.own->set("/tunnels/cellar", former);
        state::Pauses(*home.own).pause_owner("cellar", {"admin@cellar", "2026-01-02T03:04:05Z"});
        state::follow_owners(*home.own, *home.replica, "cellar");

        const auto joined = co_await home.fleet->join(token, "cellar-2", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        EXPECT_FALSE(home.fleet->is_root());
        EXPECT_EQ(home.fleet->node_name(), "cellar-2");
        EXPECT_EQ(home.renamed, "cellar-2");
        EXPECT_TRUE(home.own->get("/tunnels/cellar-2")->contains("connecting"));
        EXPECT_TRUE(state::Pauses(*home.own).of_owner("cellar-2")) << "of what was spun on it";
        EXPECT_FALSE(state::Pauses(*home.own).of_owner("cellar"));
        EXPECT_EQ(text(*home.replica, "/processes/calendar", "node"), "cellar-2");
        EXPECT_EQ(text(*root.replica, "/processes/calendar", "node"), "cellar-2");
        EXPECT_EQ((*home.replica->get("/processes/calendar"))["port"], port);
        EXPECT_EQ(home.replica->store_id(), root.replica->store_id());
        EXPECT_TRUE(co_await until([&] { return text(*home.replica, "/live/cellar-2", "state") == "up"; }));

        // Either side sees what the other does.
        const auto more = co_await home.fleet->gateway().request("process.spin", spin_params("notes"));
        EXPECT_TRUE(more) << more.error().message;
        EXPECT_TRUE(co_await until([&] {
            return root.replica->contains("/processes/notes") && home.replica->get("/processes/notes");
        }));
        Json map{{"domain", "calendar.home.example"}, {"process", "calendar"}, {"by", "admin@attic"}};
        EXPECT_TRUE(co_await root.fleet->gateway().request("domain.map", map));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/domains/calendar.home.example"); }));
        Json taken{{"domain", "calendar.home.example"}, {"process", "notes"}, {"by", "user@cellar-2"}};
        const auto refused = co_await home.fleet->gateway().request("domain.map", taken);
        EXPECT_FALSE(refused);
        if (!refused) {
            EXPECT_EQ(refused.error().code, ErrorCode::DomainTaken);
        }

        // What the node says of itself arrives, and changes follow.
        EXPECT_TRUE(co_await until([&] { return root.replica->contains("/info/cellar-2"); }));
        Json status{{"state", "running"}};
        home.own->set("/status/cellar-2/7", status);
        EXPECT_TRUE(
            co_await until([&] { return text(*root.replica, "/status/cellar-2/7", "state") == "running"; }));
        home.own->erase("/status/cellar-2/7");
        EXPECT_TRUE(co_await until([&] { return !root.replica->contains("/status/cellar-2/7"); }));
    });
}

// Does what it is told, and remembers it.
class NotedUnits : public UnitControl {
  public:
    asio::awaitable<Result<bool>> installed(std::string) override { co_return true; }
    asio::awaitable<bool> active(std::string) override { co_return true; }
    asio::awaitable<Result<void>> start(std::vector<std::string>) override { co_return Result<void>(); }
    asio::awaitable<Result<void>> stop(std::vector<std::string> units) override {
        stopped.insert(stopped.end(), units.begin(), units.end());
        co_return Result<void>();
    }
    std::vector<std::string> stopped;
};

TEST_F(FleetTest, ARootThatJoinsAnotherFleetHasNoEdge) {
    NotedUnits units;
    home.units = &units;
    home.make();
    play([&]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        Json options{{"domain", "other.example"}, {"public_ips", {"127.0.0.1"}}};
        const auto made = co_await home.fleet->init(options, "admin@cellar");
        EXPECT_TRUE(made) << made.error().message;
        EXPECT_TRUE(std::filesystem::exists(home.directory.path() / "roles/edge"));
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        EXPECT_FALSE(std::filesystem::exists(home.directory.path() / "roles/edge"));
        EXPECT_TRUE(std::filesystem::exists(home.directory.path() / "roles/connector"));
        EXPECT_THAT(units.stopped, testing::ElementsAre("p2prc-edge.socket", "p2prc-edge.service"));
    });
}

TEST_F(FleetTest, ALookReachesTheOtherNodes) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_EQ(root.looks + home.looks, 0) << "nothing is sent when nobody looks";
        home.fleet->look();
        EXPECT_TRUE(co_await until([&] { return root.looks > 0 && home.looks > 0; }));
        // Said a thousand times, it is sent once.
        for (int i = 0; i < 1000; ++i)
            home.fleet->look();
        const auto answered = co_await home.fleet->gateway().request("process.spin", spin_params("notes"));
        EXPECT_TRUE(answered);
        EXPECT_EQ(root.looks, 1);
        EXPECT_EQ(home.looks, 1);
    });
}

TEST_F(FleetTest, UsageComesFromAllNodesAndFromEachAlone) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        std::vector<TestNode*> nodes{&root, &home};
        co_await spin_on_each(std::move(nodes));
        EXPECT_EQ(root.measurements + home.measurements, 0) << "nothing is measured when nobody asks";
        for (auto* asked : {&root, &home}) {
            std::string every;
            const Json all = co_await asked->fleet->usage(std::move(every));
            EXPECT_EQ(all.size(), 2U) << all.dump();
            for (const std::string node : {"attic", "cellar"}) {
                EXPECT_EQ(measured(all, node), "of " + node);
                const Json one = co_await asked->fleet->usage(node);
                EXPECT_EQ(one.size(), 1U) << one.dump();
                EXPECT_TRUE(one.contains(node));
            }
            std::string unknown = "nobody";
            const Json none = co_await asked->fleet->usage(std::move(unknown));
            EXPECT_TRUE(none.empty());
        }
    });
}

// The root asks a member once for all who ask within a moment, wherever they are.
TEST_F(FleetTest, ManyWhoWatchCostAMemberNoMore) {
    TestNode loft(loop, "loft", false);
    make(loft);
    root.usage_fresh = 1h;
    root.make();
    play([&]() -> asio::awaitable<void> {
        co_await spin_on_three(loft);
        std::vector<Json> answers;
        const auto ask = [&answers](Fleet& asked) -> asio::awaitable<void> {
            std::string every;
            answers.push_back(co_await asked.usage(std::move(every)));
        };
        for (int i = 0; i < 50; ++i)
            asio::co_spawn(loop, ask(i % 2 == 0 ? *root.fleet : *loft.fleet), test::rethrow);
        EXPECT_TRUE(co_await until([&] { return answers.size() == 50; }));
        for (const auto& all : answers)
            for (const std::string node : {"attic", "cellar", "loft"})
                EXPECT_EQ(measured(all, node), "of " + node) << all.dump();
        EXPECT_EQ(home.measurements, 1);
        EXPECT_EQ(loft.measurements, 25 + 1) << "those who watch there, and the root";
        loft.fleet.reset();
    });
}

// One that speaks of processes that it does not have takes no room from the others.
TEST_F(FleetTest, InventedUsageIsDropped) {
    TestNode loft(loop, "loft", false);
    make(loft);
    home.invented = 12'000; // nearly as many as one frame of the control link can have
    play([&]() -> asio::awaitable<void> {
        co_await spin_on_three(loft);
        std::string every;
        const Json all = co_await loft.fleet->usage(std::move(every));
        for (const std::string node : {"attic", "cellar", "loft"})
            EXPECT_EQ(measured(all, node), "of " + node);
        loft.fleet.reset();
    });
}

TEST_F(FleetTest, WithTheRootAwayANodeKnowsItsOwnUsage) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        root.fleet.reset();
        EXPECT_TRUE(co_await until([&] { return !home.fleet->gateway().reachable(); }));
        std::string every;
        const Json usage = co_await home.fleet->usage(std::move(every));
        EXPECT_EQ(usage.size(), 1U);
        EXPECT_TRUE(usage.contains("cellar"));
    });
}

TEST_F(FleetTest, ANodesLastSignIsKept) {
    home.hasty = true;
    home.make();
    root.hasty = true;
    root.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_TRUE(co_await until([&] { return text(*root.replica, "/live/cellar", "state") == "up"; }));
        home.fleet.reset();
        EXPECT_TRUE(co_await until([&] { return text(*root.replica, "/live/cellar", "state") == "lost"; }));
        const auto live = *root.replica->get("/live/cellar");
        const auto heard = live["heard"].get<std::string>();
        EXPECT_FALSE(heard.empty());
        EXPECT_LT(heard, live["since"].get<std::string>());
        // The root starts again: it has heard nothing, so it stays as it is.
        root.make();
        EXPECT_TRUE(co_await root.fleet->start());
        asio::steady_timer timer(loop, 1500ms); // beyond suspect and lost
        co_await timer.async_wait(net::as_result);
        EXPECT_EQ(*root.replica->get("/live/cellar"), live);
    });
}

TEST_F(FleetTest, AMemberKnowsItsClockByTheRoots) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_TRUE(co_await until([&] {
            const auto info = root.replica->get("/info/cellar");
            if (!info) return false;
            for (const auto& check : (*info)["checks"])
                if (check["subject"] == "clock") return check["state"] == "ok";
            return false;
        }));
    });
}

TEST_F(FleetTest, LogsComeFromWhicheverNode) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        for (auto* asked : {&root, &home}) {
            for (const std::string node : {"attic", "cellar"}) {
                Json params{{"process", "calendar"}, {"lines", 10}, {"follow", false}};
                auto stream = co_await asked->fleet->logs(node, params);
                EXPECT_TRUE(stream);
                if (!stream) continue;
                const auto piece = co_await (*stream)->next();
                EXPECT_TRUE(piece) << piece.error().message;
                if (piece) {
                    EXPECT_EQ(*piece, node + ": calendar");
                }
                const auto end = co_await (*stream)->next();
                EXPECT_TRUE(end && !*end);
            }
        }
        Json params = Json::object();
        auto stream = co_await home.fleet->logs("nobody", params);
        const auto piece = co_await (*stream)->next();
        EXPECT_FALSE(piece);
        if (!piece) {
            EXPECT_EQ(piece.error().code, ErrorCode::NotFound);
        }
    });
}

TEST_F(FleetTest, BadTokensAreRefusedAndChangeNothing) {
    play([this]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        const auto refused = [this](std::string text) -> asio::awaitable<std::string> {
            const auto joined = co_await home.fleet->join(std::move(text), "", "admin@cellar");
            EXPECT_FALSE(joined);
            EXPECT_TRUE(home.fleet->is_root());
            co_return joined
                ? std::string()
                : std::string(error_info(joined.error().code).name) + ": " + joined.error().message;
        };
        using testing::HasSubstr;
        EXPECT_THAT(co_await refused("nonsense"), HasSubstr("not a join token"));
        EXPECT_THAT(co_await refused(token.substr(0, token.size() - 5)), HasSubstr("damaged"));

        auto changed = *link::decode_token(token);
        changed.secret[0] ^= 1;
        EXPECT_THAT(co_await refused(*link::encode_token(changed)),
                    HasSubstr("NotPermitted: the root does not know this invitation"));
        changed = *link::decode_token(token);
        changed.id[0] = changed.id[0] == 'a' ? 'b' : 'a';
        EXPECT_THAT(co_await refused(*link::encode_token(changed)), HasSubstr("NotPermitted"));
        changed = *link::decode_token(token);
        changed.addresses = {*net::Endpoint::parse("127.0.0.1:1")};
        EXPECT_THAT(co_await refused(*link::encode_token(changed)),
                    HasSubstr("Unreachable: cannot reach the root node"));

        // A name that is taken: nothing changes, and the same token still works under another.
        const auto taken = co_await home.fleet->join(token, "attic", "admin@cellar");
        EXPECT_FALSE(taken);
        if (!taken) {
            EXPECT_EQ(taken.error().code, ErrorCode::Conflict);
        }
        EXPECT_TRUE(home.fleet->is_root());
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
    });
}

TEST_F(FleetTest, UsedAndExpiredTokensSaySo) {
    TestNode other(loop, "shed", false);
    make(other);
    play([this, &other]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(co_await other.fleet->start());
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        const auto again = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(again) << "the same node again changes nothing: " << again.error().message;
        const auto used = co_await other.fleet->join(token, "", "admin@shed");
        EXPECT_FALSE(used);
        if (!used) {
            EXPECT_THAT(used.error().message, testing::HasSubstr("used by node 'cellar'"));
        }

        const auto brief = co_await new_token(1);
        asio::steady_timer timer(loop, 2100ms);
        co_await timer.async_wait(net::as_result);
        const auto expired = co_await other.fleet->join(brief, "", "admin@shed");
        EXPECT_FALSE(expired);
        if (!expired) {
            EXPECT_THAT(expired.error().message, testing::HasSubstr("expired"));
        }
        EXPECT_TRUE(other.fleet->is_root());
        other.fleet.reset();
    });
}

TEST_F(FleetTest, RemovedNodeIsCutOffAtOnce) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_TRUE(home.fleet->gateway().reachable());
        const auto removed = co_await root.fleet->remove_node("cellar", "admin@attic");
        EXPECT_TRUE(removed) << removed.error().message;
        EXPECT_TRUE(co_await until([&] { return !home.fleet->gateway().reachable(); }));
        asio::steady_timer timer(loop, 500ms);
        co_await timer.async_wait(net::as_result);
        EXPECT_FALSE(home.fleet->gateway().reachable());
        const auto refused = co_await home.fleet->gateway().request("process.spin", spin_params("late"));
        EXPECT_FALSE(refused);
        if (!refused) {
            EXPECT_EQ(refused.error().code, ErrorCode::Unreachable);
            EXPECT_THAT(refused.error().message, testing::HasSubstr("it was removed from the fleet"));
            EXPECT_THAT(refused.error().hint, testing::HasSubstr("p2prc leave --force"));
        }
        // It makes itself its own again.
        const auto left = co_await home.fleet->leave(true, "admin@cellar");
        EXPECT_TRUE(left) << left.error().message;
        EXPECT_TRUE(home.fleet->is_root());
        EXPECT_TRUE(co_await home.fleet->gateway().request("process.spin", spin_params("late")));
    });
}

TEST_F(FleetTest, ARemovedNodeThatJoinsIsRefusedAtOnce) {
    home.join = 1h;
    home.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_TRUE(co_await root.fleet->remove_node("cellar", "admin@attic"));
        EXPECT_TRUE(co_await until([&] { return !home.fleet->gateway().reachable(); }));
        const auto token = co_await new_token();
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_FALSE(joined);
        if (joined) co_return;
        EXPECT_EQ(joined.error().code, ErrorCode::NotPermitted);
        EXPECT_THAT(joined.error().hint, testing::HasSubstr("p2prc leave --force"));
    });
}

TEST(MemberLinkTest, TheFailureThatIsToldIsOfAnAddressThatCanWork) {
    const auto failure = [](const char* endpoint, const char* message, bool route) {
        return DialFailure{*net::Endpoint::parse(endpoint), {ErrorCode::Unreachable, message}, route};
    };
    const std::vector<DialFailure> none_routed{failure("203.0.113.10:443", "four", false),
                                               failure("[2001:db8::10]:443", "six", false)};
    const std::vector<DialFailure> four_routed{failure("[2001:db8::10]:443", "six", false),
                                               failure("203.0.113.10:443", "four", true)};
    EXPECT_EQ(telling_failure(four_routed, {}).message, "four");
    EXPECT_EQ(telling_failure(none_routed, {}).message, "four");
    EXPECT_EQ(telling_failure(none_routed, *net::Address::parse("2001:db8::10")).message, "six");
    EXPECT_EQ(telling_failure(four_routed, *net::Address::parse("203.0.113.99")).message, "four");
    EXPECT_FALSE(telling_failure({}, {}).message.empty());
}

TEST_F(FleetTest, LinkComesBackAfterACutAndARestart) {
    home.hasty = true;
    home.make();
    root.hasty = true;
    root.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto up = [this] { return home.fleet->gateway().reachable(); };
        // The cable is cut: bytes vanish, nobody says anything.
        relay.set(Relay::Mode::Swallow);
        EXPECT_TRUE(co_await until([&] { return !up(); }));
        EXPECT_TRUE(co_await until([&] { return text(*root.replica, "/live/cellar", "state") == "lost"; }));
        EXPECT_TRUE(co_await root.fleet->gateway().request("process.spin", spin_params("meanwhile")));
        Json status{{"state", "running"}};
        home.own->set("/status/cellar/9", status);
        relay.drop();
        relay.set(Relay::Mode::Pass);
        EXPECT_TRUE(co_await until(up));
        EXPECT_TRUE(home.replica->get("/processes/meanwhile"));
        EXPECT_TRUE(
            co_await until([&] { return text(*root.replica, "/status/cellar/9", "state") == "running"; }));
        EXPECT_TRUE(co_await until([&] { return text(*root.replica, "/live/cellar", "state") == "up"; }));
        // The edge goes and comes back.
        relay.set(Relay::Mode::Refuse);
        EXPECT_TRUE(co_await until([&] { return !up(); }));
        relay.set(Relay::Mode::Pass);
        EXPECT_TRUE(co_await until(up));
        // The root's daemon is started again.
        root.make();
        const auto again = co_await root.fleet->start();
        EXPECT_TRUE(again) << again.error().message;
        // The link may be back before anybody can see that it was gone: what comes over it tells.
        EXPECT_TRUE(co_await root.fleet->gateway().request("process.spin", spin_params("after")));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/after"); }));
        EXPECT_TRUE(co_await until(up));
        // The member's daemon too.
        home.make();
        const auto home_again = co_await home.fleet->start();
        EXPECT_TRUE(home_again) << home_again.error().message;
        EXPECT_EQ(home.fleet->node_name(), "cellar");
        EXPECT_TRUE(co_await until(up));
    });
}

// What would wait for the link here, would wait for an hour.
TEST_F(FleetTest, ARequestWaitsForALinkThatIsJustComingBack) {
    home.back = 1h;
    home.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        auto& gateway = home.fleet->gateway();
        auto params = spin_params("here");
        const auto here = co_await gateway.request("process.spin", params);
        EXPECT_TRUE(here) << here.error().message;
        const auto lose = [&]() -> asio::awaitable<void> {
            relay.set(Relay::Mode::Refuse);
            EXPECT_TRUE(co_await until([&] { return !gateway.reachable(); }));
        };
        co_await lose();
        asio::steady_timer timer(loop, 300ms);
        timer.async_wait([this](const boost::system::error_code&) { relay.set(Relay::Mode::Pass); });
        params = spin_params("soon");
        const auto spun = co_await gateway.request("process.spin", params);
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_TRUE(home.replica->get("/processes/soon"));
        // What runs here is stopped without it.
        co_await lose();
        params = Json{{"process", (*here)["id"].dump()}, {"by", "user@cellar"}};
        const auto stopped = co_await gateway.request("process.stop", params);
        EXPECT_EQ(stopped.error().code, ErrorCode::Unreachable);
        // Of one that has been away for longer it is said at once.
        home.back = 10ms;
        home.make();
        EXPECT_TRUE(co_await home.fleet->start());
        timer.expires_after(50ms);
        co_await timer.async_wait(net::as_result);
        params = spin_params("late");
        const auto late = co_await home.fleet->gateway().request("process.spin", params);
        EXPECT_EQ(late.error().code, ErrorCode::Unreachable);
    });
}

TEST_F(FleetTest, ARequestWhoseAnswerIsLostIsNotMadeTwice) {
    home.hasty = true;
    home.back = 10s;
    home.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        relay.set(Relay::Mode::Swallow);
        auto params = spin_params("lost");
        const auto lost = co_await home.fleet->gateway().request("process.spin", params);
        EXPECT_EQ(lost.error().code, ErrorCode::Unreachable);
        EXPECT_NE(lost.error().message.find("broke before it answered"), std::string::npos)
            << lost.error().message;
        relay.drop();
        relay.set(Relay::Mode::Pass);
        params = spin_params("next");
        const auto next = co_await home.fleet->gateway().request("process.spin", params);
        EXPECT_TRUE(next) << next.error().message;
        EXPECT_FALSE(home.replica->get("/processes/lost"));
    });
}

TEST_F(FleetTest, ALinkThatIsBeingMadeIsNoFault) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        auto& gateway = home.fleet->gateway();
        EXPECT_FALSE(gateway.connecting());
        relay.set(Relay::Mode::Refuse);
        EXPECT_TRUE(co_await until([&] { return !gateway.reachable(); }));
        EXPECT_FALSE(gateway.connecting()) << "it was up: this is a loss";
        home.make();
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(home.fleet->gateway().connecting());
        relay.set(Relay::Mode::Pass);
        EXPECT_TRUE(co_await until([&] { return home.fleet->gateway().reachable(); }));
        EXPECT_FALSE(home.fleet->gateway().connecting());
    });
}

TEST_F(FleetTest, LeavingTakesTheProcessesHome) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        auto params = spin_params("calendar");
        const auto spun = co_await home.fleet->gateway().request("process.spin", params);
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        const auto port = (*home.replica->get("/processes/calendar"))["port"];
        const auto left = co_await home.fleet->leave(false, "admin@cellar");
        EXPECT_TRUE(left) << left.error().message;
        EXPECT_TRUE(home.fleet->is_root());
        EXPECT_TRUE(co_await until([&] { return home.replica->store_id() != root.replica->store_id(); }));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        EXPECT_EQ((*home.replica->get("/processes/calendar"))["port"], port);
        EXPECT_EQ(home.replica->get("/nodes/attic"), nullptr);
        EXPECT_TRUE(co_await until([&] {
            return !root.replica->get("/nodes/cellar") && !root.replica->get("/processes/calendar");
        }));
        EXPECT_TRUE(home.replica->range("/tombstones/").empty());
        // And it may come again.
        const auto token = co_await new_token();
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        EXPECT_EQ(text(*root.replica, "/processes/calendar", "node"), "cellar");
    });
}

TEST_F(FleetTest, LeavingWithoutTheRootRemembersWhatWasAskedHere) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        for (const char* name : {"calendar", "photos"}) {
            auto params = spin_params(name);
            const auto spun = co_await home.fleet->gateway().request("process.spin", params);
            EXPECT_TRUE(spun) << spun.error().message;
        }
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/photos"); }));
        relay.set(Relay::Mode::Refuse);
        EXPECT_TRUE(co_await until([&] { return !home.fleet->gateway().reachable(); }));
        const auto note = [&](const char* name, const char* action) {
            const auto id = (*home.replica->get(std::string("/processes/") + name))["id"];
            home.own->set("/local/cellar/" + id.dump(), {{"id", id}, {"action", action}, {"sequence", 1}});
        };
        note("calendar", "kill");
        note("photos", "stop");
        const auto left = co_await home.fleet->leave(true, "admin@cellar");
        EXPECT_TRUE(left) << left.error().message;
        EXPECT_TRUE(co_await until([&] {
            return home.replica->store_id() != root.replica->store_id() &&
                   home.replica->get("/processes/photos");
        }));
        EXPECT_EQ(text(*home.replica, "/processes/photos", "desired"), "stopped");
        EXPECT_FALSE(home.replica->get("/processes/calendar"));
        EXPECT_TRUE(home.own->range("/local/").empty());
    });
}

TEST_F(FleetTest, ALeaveThatIsCutOffAtHomeGoesOnAtTheNextStart) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        // The disk stands still before the records are imported, when the root has given them up already.
        std::promise<void> still;
        home.disk.post([gate = still.get_future().share()] { gate.wait(); });
        asio::co_spawn(loop, home.fleet->leave(false, "admin@cellar"), test::rethrow);
        EXPECT_TRUE(co_await until([&] { return home.fleet->is_root(); }));
        EXPECT_FALSE(root.replica->get("/processes/calendar"));
        home.make();
        still.set_value();
        const auto started = co_await home.fleet->start();
        EXPECT_TRUE(started) << started.error().message;
        EXPECT_TRUE(home.fleet->is_root());
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        EXPECT_FALSE(std::filesystem::exists(home.directory.path() / "luggage.json"));
        // Ended once more, with all imported and the handover still there: nothing comes twice.
        const auto id = (*home.replica->get("/processes/calendar"))["id"];
        Json handover{{"schema", 1},
                      {"luggage", {{"processes", {*home.replica->get("/processes/calendar")}}}}};
        handover["luggage"]["processes"][0]["id"] =
            (*home.replica->get("/processes/calendar"))["former_ids"].back();
        std::ofstream(home.directory.path() / "luggage.json") << handover.dump();
        home.make();
        const auto once_more = co_await home.fleet->start();
        EXPECT_TRUE(once_more) << once_more.error().message;
        EXPECT_FALSE(std::filesystem::exists(home.directory.path() / "luggage.json"));
        EXPECT_EQ((*home.replica->get("/processes/calendar"))["id"], id);
    });
}

TEST_F(FleetTest, ALeaveWhoseAnswerIsLostIsFinished) {
    home.hasty = true;
    home.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        // The root has let it go; its answer is lost, and the machine's power with it.
        const auto cut = root.replica->subscribe(
            "/nodes/cellar", [this](std::span<const state::Change>) { relay.set(Relay::Mode::Swallow); });
        asio::co_spawn(loop, home.fleet->leave(false, "admin@cellar"), test::rethrow);
        EXPECT_TRUE(co_await until([&] { return !root.replica->contains("/nodes/cellar"); }));
        EXPECT_FALSE(home.fleet->is_root());
        EXPECT_TRUE(std::filesystem::exists(home.directory.path() / "luggage.json"));
        home.make();
        relay.drop();
        relay.set(Relay::Mode::Pass);
        const auto started = co_await home.fleet->start();
        EXPECT_TRUE(started) << started.error().message;
        EXPECT_FALSE(home.fleet->is_root()) << "nobody has said yet that the root let it go";
        EXPECT_TRUE(co_await until([&] { return home.fleet->is_root(); }));
        EXPECT_TRUE(co_await until([&] {
            const auto record = home.replica->get("/processes/calendar");
            return record && home.replica->store_id() != root.replica->store_id();
        }));
        EXPECT_TRUE(
            co_await until([&] { return !std::filesystem::exists(home.directory.path() / "luggage.json"); }));
    });
}

TEST_F(FleetTest, ALeaveThatTheRootNeverHeardOfDoesNotHappenLater) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        std::ofstream(home.directory.path() / "luggage.json")
            << R"({"schema": 1, "luggage": {"processes": [], "domains": [], "by": "admin@cellar"}})";
        home.make();
        const auto started = co_await home.fleet->start();
        EXPECT_TRUE(started) << started.error().message;
        EXPECT_TRUE(co_await until([&] { return home.fleet->gateway().reachable(); }));
        EXPECT_TRUE(
            co_await until([&] { return !std::filesystem::exists(home.directory.path() / "luggage.json"); }));
        EXPECT_FALSE(home.fleet->is_root());
    });
}

TEST_F(FleetTest, AJoinWhoseAnswerIsLostBringsWhatHappenedSince) {
    home.hasty = true;
    home.make();
    play([this]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        for (const char* name : {"calendar", "photos"})
            EXPECT_TRUE(co_await home.fleet->gateway().request("process.spin", spin_params(name)));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/photos"); }));
        auto cut = root.replica->subscribe(
            "/nodes/cellar", [this](std::span<const state::Change>) { relay.set(Relay::Mode::Swallow); });
        asio::co_spawn(loop, home.fleet->join(token, "", "admin@cellar"), test::rethrow);
        EXPECT_TRUE(co_await until([&] { return root.replica->contains("/processes/photos"); }));
        EXPECT_TRUE(home.fleet->is_root());
        cut.reset(); // the node's record is written again
        home.make();
        relay.drop();
        relay.set(Relay::Mode::Pass);
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(co_await home.fleet->gateway().request("process.spin", spin_params("notes")));
        Json params{{"process", "calendar"}, {"by", "user@cellar"}};
        EXPECT_TRUE(co_await home.fleet->gateway().request("process.kill", params));
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        EXPECT_EQ(text(*home.replica, "/processes/notes", "node"), "cellar");
        EXPECT_EQ(text(*home.replica, "/processes/photos", "node"), "cellar");
        EXPECT_FALSE(home.replica->get("/processes/calendar"));
    });
}

TEST_F(FleetTest, AJoinThatIsCutOffAtHomeGoesOnAtTheNextStart) {
    play([this]() -> asio::awaitable<void> {
        const auto token = co_await make_root();
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(co_await home.fleet->gateway().request("process.spin", spin_params("calendar")));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        // The disk stands still before the registry of before is closed, when the root has admitted the node.
        std::promise<void> still;
        const auto cut = root.replica->subscribe(
            "/nodes/cellar", [&, gate = still.get_future().share()](std::span<const state::Change>) {
                home.disk.post([gate] { gate.wait(); });
            });
        asio::co_spawn(loop, home.fleet->join(token, "", "admin@cellar"), test::rethrow);
        const auto settings = home.directory.path() / "fleet.json";
        EXPECT_TRUE(co_await until([&] {
            std::ifstream file(settings);
            return std::string(std::istreambuf_iterator(file), {}).find("home.example") != std::string::npos;
        }));
        home.make();
        still.set_value();
        EXPECT_TRUE(std::filesystem::exists(home.directory.path() / "registry.db"));
        const auto started = co_await home.fleet->start();
        EXPECT_TRUE(started) << started.error().message;
        EXPECT_FALSE(home.fleet->is_root());
        EXPECT_TRUE(co_await until([&] { return home.fleet->gateway().reachable(); }));
        EXPECT_EQ(text(*home.replica, "/processes/calendar", "node"), "cellar");
        // What is left of the registry of before does not come back with a leave.
        EXPECT_TRUE(co_await home.fleet->leave(false, "admin@cellar"));
        EXPECT_TRUE(home.fleet->is_root());
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/calendar"); }));
        EXPECT_EQ(home.replica->range("/processes/").size(), 1U);
    });
}

// The token tells where the root is; the link that comes up by it tells what became of the leave.
TEST_F(FleetTest, AMemberWhoseLeaveIsOpenFindsItsRootByAnotherToken) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto token = co_await new_token();
        relay.set(Relay::Mode::Refuse);
        EXPECT_FALSE(co_await home.fleet->leave(false, "admin@cellar"));
        const auto handover = home.directory.path() / "luggage.json";
        EXPECT_TRUE(std::filesystem::exists(handover));
        asio::steady_timer timer(loop, 200ms);
        timer.async_wait([this](const boost::system::error_code&) { relay.set(Relay::Mode::Pass); });
        const auto joined = co_await home.fleet->join(token, "", "admin@cellar");
        EXPECT_TRUE(joined) << joined.error().message;
        EXPECT_FALSE(home.fleet->is_root());
        EXPECT_FALSE(std::filesystem::exists(handover));
    });
}

TEST_F(FleetTest, OneChangeOfTheRoleAtATime) {
    home.hasty = true;
    home.make();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto token = co_await new_token();
        relay.set(Relay::Mode::Swallow);
        asio::co_spawn(loop, home.fleet->leave(false, "admin@cellar"), test::rethrow);
        EXPECT_TRUE(
            co_await until([&] { return std::filesystem::exists(home.directory.path() / "luggage.json"); }));
        Json options = Json::object();
        EXPECT_EQ((co_await home.fleet->init(options, "admin@cellar")).error().code, ErrorCode::Conflict);
        EXPECT_EQ((co_await home.fleet->join(token, "", "admin@cellar")).error().code, ErrorCode::Conflict);
        EXPECT_EQ((co_await home.fleet->leave(true, "admin@cellar")).error().code, ErrorCode::Conflict);
        // What was written now would stay behind.
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("late"));
        EXPECT_EQ(spun.error().code, ErrorCode::Conflict);
    });
}

TEST_F(FleetTest, WhatWasSaidUnderAFormerNameIsSaidUnderTheNewOne) {
    home.own->set("/status/hut/7", {{"node", "hut"}, {"state", "running"}});
    home.own->set("/certificates/hut/web.example.org", {{"state", "valid"}});
    home.own->set("/info/hut", {{"cpus", 1}});
    home.own->set("/local/hut/7", {{"id", 7}, {"action", "kill"}, {"sequence", 1}});
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_EQ(text(*home.own, "/status/cellar/7", "node"), "cellar");
        EXPECT_TRUE(home.own->range("/status/hut/").empty());
        EXPECT_TRUE(home.own->range("/local/").empty());
        EXPECT_FALSE(home.own->get("/info/hut"));
        EXPECT_TRUE(co_await until([&] {
            return text(*root.replica, "/status/cellar/7", "state") == "running" &&
                   text(*root.replica, "/certificates/cellar/web.example.org", "state") == "valid";
        }));
    });
}

TEST_F(FleetTest, WhatWasAnsweredHereSurvivesAPowerCutWithoutTheRoot) {
    // Files that are opened from here on are seen.
    const p2prc::test::PowerCut power;
    home.reopen();
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        state::Disk later;
        int cuts = 0;
        const auto wanted_after_a_cut = [&] {
            const auto to = home.directory.path() / ("left" + std::to_string(++cuts));
            p2prc::test::PowerCut::restore(home.directory.path(), to);
            const auto left = state::Replica::open((to / "replica.db").string(), later);
            return left ? text(**left, "/processes/calendar", "desired") : left.error().message;
        };
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun) << spun.error().message;
        EXPECT_EQ(wanted_after_a_cut(), "running");
        for (const auto& [verb, wanted] : {std::pair{"process.stop", "stopped"},
                                           {"process.start", "running"},
                                           {"process.kill", "(none)"}}) {
            Json params{{"process", "calendar"}, {"by", "user@cellar"}};
            EXPECT_TRUE(co_await home.fleet->gateway().request(verb, params)) << verb;
            EXPECT_EQ(wanted_after_a_cut(), wanted) << verb;
        }
    });
}

TEST_F(FleetTest, WhatWasSpunHereTheNodeKnowsByItself) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto here = [&](const std::string& name) {
            const auto document = home.replica->get("/processes/" + name);
            const auto record =
                document ? process_from_json(*document) : fail(ErrorCode::NotFound, "no record");
            return record && state::Origins(*home.own).here(*record);
        };
        EXPECT_TRUE(co_await spin_at_home(spin_params("calendar")));
        auto from_the_root = spin_params("guest");
        from_the_root["node"] = "cellar";
        EXPECT_TRUE(co_await root.fleet->gateway().request("process.spin", from_the_root));
        EXPECT_TRUE(co_await until([&] { return home.replica->contains("/processes/guest"); }));
        EXPECT_TRUE(here("calendar"));
        EXPECT_FALSE(here("guest"));
        // What was refused leaves nothing; what is noted is told to nobody.
        const auto notes = home.own->range("/spun/").size();
        auto bad = spin_params("calendar");
        bad["spec"]["name"] = "guest";
        bad["spec"]["ports"] = {22};
        EXPECT_FALSE(co_await spin_at_home(bad));
        EXPECT_EQ(home.own->range("/spun/").size(), notes);
        Json status{{"state", "running"}};
        home.own->set("/status/cellar/9", status);
        EXPECT_TRUE(co_await until([&] { return root.replica->contains("/status/cellar/9"); }));
        EXPECT_TRUE(root.replica->range("/spun/").empty());
        // It stays so in another fleet, and ends with the process.
        EXPECT_TRUE(co_await home.fleet->leave(false, "admin@cellar"));
        EXPECT_TRUE(here("calendar"));
        EXPECT_FALSE(here("guest")) << "a conquered root could leave something behind";
        Json params{{"process", "calendar"}, {"by", "user@cellar"}};
        EXPECT_TRUE(co_await home.fleet->gateway().request("process.kill", params));
        EXPECT_TRUE(co_await until([&] { return home.own->range("/spun/").size() == notes - 1; }));
    });
}

TEST_F(FleetTest, AnEarlierVersionsProcessesAreTakenForWhatTheirRecordsSayOnce) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        EXPECT_TRUE(co_await spin_at_home(spin_params("calendar")));
        std::vector<state::Change> all;
        for (const auto& [key, note] : home.own->range("/spun/"))
            all.push_back({std::string(key), std::nullopt, 0});
        home.own->update(std::move(all));
        const auto here = [&] {
            return state::Origins(*home.own).here(
                *process_from_json(*home.replica->get("/processes/calendar")));
        };
        EXPECT_FALSE(here());
        home.make();
        EXPECT_TRUE(co_await home.fleet->start());
        EXPECT_TRUE(here());
    });
}

void overwrite(const std::filesystem::path& file) {
    const auto size = std::filesystem::file_size(file);
    std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
    out.seekp(512);
    out << std::string(size - 512, 'x');
}

TEST_F(FleetTest, ADamagedRegistryIsMadeAnewOfTheRootsCopy) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun);
        EXPECT_TRUE(co_await until([&] { return root.replica->get("/processes/calendar") != nullptr; }));
        const auto before = root.replica->store_id();
        root.fleet.reset();
        root.replica.reset();
        overwrite(root.directory.path() / "registry.db");
        root.reopen();
        EXPECT_TRUE(co_await root.fleet->start());
        EXPECT_TRUE(root.fleet->gateway().reachable());
        EXPECT_EQ(root.fleet->gateway().notices().size(), 1U);
        EXPECT_TRUE(co_await until([&] { return root.replica->store_id() != before; }));
        EXPECT_TRUE(root.replica->get("/processes/calendar"));
        EXPECT_TRUE(co_await until([&] { return home.fleet->gateway().reachable(); }));
        EXPECT_TRUE(co_await until([&] { return home.replica->store_id() == root.replica->store_id(); }));
        const auto again = co_await home.fleet->gateway().request("process.spin", spin_params("wiki"));
        EXPECT_TRUE(again) << again.error().message;
    });
}

TEST_F(FleetTest, ADamagedRowIsTakenFromTheRootsCopy) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto spun = co_await home.fleet->gateway().request("process.spin", spin_params("calendar"));
        EXPECT_TRUE(spun);
        EXPECT_TRUE(co_await until([&] { return root.replica->get("/processes/calendar") != nullptr; }));
        root.fleet.reset();
        root.reopen();
        store::SqliteOptions database;
        database.file = (root.directory.path() / "registry.db").string();
        database.tables = {{std::string(registry::replicated_table), true}, {"private", false}};
        {
            auto store = store::open_sqlite(database);
            EXPECT_TRUE(store);
            store::Txn txn;
            for (const auto* key : {"/processes/calendar", "/nodes/cellar"})
                txn.then.push_back(
                    store::put(std::string(registry::replicated_table), key, "{\"id\": 4, \"na"));
            EXPECT_TRUE((*store)->txn(txn));
        }
        EXPECT_TRUE(co_await root.fleet->start());
        EXPECT_TRUE(root.fleet->gateway().reachable());
        const auto notices = root.fleet->gateway().notices();
        EXPECT_EQ(notices.size(), 1U);
        if (!notices.empty()) {
            EXPECT_THAT(notices[0].message, testing::HasSubstr("/processes/calendar (taken from"));
        }
        EXPECT_TRUE(co_await until([&] { return home.fleet->gateway().reachable(); }));
        EXPECT_TRUE(root.replica->get("/processes/calendar"));
        EXPECT_TRUE(home.replica->get("/processes/calendar"));
    });
}

TEST_F(FleetTest, ANodeWhoseWordsDoNotArriveKnowsWhy) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        auto& gateway = home.fleet->gateway();
        EXPECT_FALSE(gateway.upload_trouble());
        const auto large = keys::status("cellar", 7);
        home.own->set(large, Json{{"p", std::string(100'000, 'x')}});
        EXPECT_TRUE(co_await until([&] { return gateway.upload_trouble().has_value(); }));
        if (const auto trouble = gateway.upload_trouble()) {
            EXPECT_THAT(trouble->message, testing::HasSubstr("no room for 1 of this node's keys, " + large));
        }
        // What is said later does not take it back.
        home.own->set(keys::status("cellar", 8), Json{{"state", "stopped"}});
        EXPECT_TRUE(co_await until([&] { return root.replica->get(keys::status("cellar", 8)) != nullptr; }));
        EXPECT_TRUE(gateway.upload_trouble());
        home.own->erase(large);
        EXPECT_TRUE(co_await until([&] { return !gateway.upload_trouble(); }));
        home.own->set(keys::node_info("attic"), Json{{"nat", true}});
        EXPECT_TRUE(co_await until([&] { return gateway.upload_trouble().has_value(); }));
        if (const auto trouble = gateway.upload_trouble()) {
            EXPECT_THAT(trouble->message, testing::HasSubstr("not owned by node 'cellar'"));
        }
    });
}

TEST_F(FleetTest, WithoutARegistryAndItsCopyTheNodeGoesOnAndSaysSo) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        root.fleet.reset();
        root.replica.reset();
        for (const auto* name : {"registry.db", "replica.db"})
            overwrite(root.directory.path() / name);
        root.reopen();
        EXPECT_TRUE(co_await root.fleet->start());
        EXPECT_FALSE(root.fleet->gateway().reachable());
        EXPECT_THAT(root.fleet->gateway().away().message, testing::HasSubstr("registry.db is damaged"));
        EXPECT_THAT(root.fleet->gateway().away().hint, testing::HasSubstr("backup"));
        EXPECT_TRUE(std::filesystem::exists(root.directory.path() / "registry.db"));
        Json options{{"domain", "home.example"}, {"public_ips", {"127.0.0.1"}}};
        EXPECT_FALSE(co_await root.fleet->init(options, "admin@attic"));
        EXPECT_FALSE(co_await root.fleet->invite("member", 60, "admin@attic"));
        EXPECT_FALSE(co_await root.fleet->leave(false, "admin@attic"));
    });
}

TEST_F(FleetTest, CertificatesAreSignedForWhoHoldsTheMapping) {
    play([this]() -> asio::awaitable<void> {
        co_await make_both();
        const auto ca = home.fleet->web_ca();
        EXPECT_TRUE(ca);
        if (ca) {
            EXPECT_THAT(*ca, testing::HasSubstr("BEGIN CERTIFICATE"));
        }
        Json params{{"domain", "calendar.home.example"}, {"csr", "no request"}, {"by", "p2prcd@cellar"}};
        const auto refused = co_await home.fleet->gateway().request("certificate.sign", params);
        EXPECT_FALSE(refused);
    });
}

} // namespace
} // namespace p2prc::daemon
