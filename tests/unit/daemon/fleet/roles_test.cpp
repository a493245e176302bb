#include "daemon/fleet/roles.h"
#include "daemon/fleet/units.h"
#include "tests/unit/net/temporary_directory.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include <array>
#include <fstream>
#include <optional>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using testing::ElementsAre;

// Starts what it is told to, but for one unit that does not start.
class FakeUnits : public UnitControl {
  public:
    asio::awaitable<Result<bool>> installed(std::string) override { co_return true; }
    asio::awaitable<bool> active(std::string) override { co_return false; }
    asio::awaitable<Result<void>> start(std::vector<std::string> units) override {
        for (auto& unit : units) {
            done.push_back("start " + unit + (role_file_is_there() ? "" : " too early"));
            if (unit == broken) co_return fail(ErrorCode::Failed, unit + " does not start");
        }
        co_return Result<void>();
    }
    asio::awaitable<Result<void>> stop(std::vector<std::string> units) override {
        for (auto& unit : units)
            done.push_back("stop " + unit + (role_file_is_there() ? " too early" : ""));
        co_return Result<void>();
    }

    std::function<bool()> role_file_is_there;
    std::string broken;
    std::vector<std::string> done;
};

class RolesTest : public testing::Test {
  protected:
    RolesTest() {
        units.role_file_is_there = [this] {
            return roles.on(MachineRole::Edge) || roles.on(MachineRole::Connector);
        };
    }

    Result<void> play(asio::awaitable<Result<void>> body) {
        asio::io_context loop;
        std::optional<Result<void>> outcome;
        asio::co_spawn(loop, std::move(body),
                       [&](const std::exception_ptr&, Result<void> result) { outcome = std::move(result); });
        loop.run();
        return outcome.value_or(fail(ErrorCode::Failed, "it did not come to its end"));
    }

    const net::TemporaryDirectory temporary;
    FakeUnits units;
    Roles roles{temporary.path() / "roles", &units};
};

TEST_F(RolesTest, ARoleIsThereBeforeItsUnitsStartAndGoneBeforeTheyStop) {
    EXPECT_TRUE(play(roles.turn_on(MachineRole::Edge)));
    EXPECT_TRUE(roles.on(MachineRole::Edge));
    EXPECT_FALSE(roles.on(MachineRole::Connector));
    EXPECT_TRUE(play(roles.turn_off(MachineRole::Edge)));
    EXPECT_FALSE(roles.on(MachineRole::Edge));
    EXPECT_THAT(units.done, ElementsAre("start p2prc-edge.socket", "start p2prc-edge.service",
                                        "stop p2prc-edge.socket", "stop p2prc-edge.service"));
}

TEST_F(RolesTest, ARoleWhoseUnitDoesNotStartIsAnErrorAndStaysOn) {
    units.broken = "p2prc-connector.service";
    const auto up = play(roles.turn_on(MachineRole::Connector));
    ASSERT_FALSE(up);
    EXPECT_EQ(up.error().message, "p2prc-connector.service does not start");
    EXPECT_TRUE(roles.on(MachineRole::Connector));
}

TEST_F(RolesTest, ItIsAnErrorThatARoleCannotBeWritten) {
    std::ofstream(temporary.path() / "roles") << "no directory";
    EXPECT_FALSE(play(roles.turn_on(MachineRole::Connector)));
    EXPECT_TRUE(units.done.empty());
}

TEST_F(RolesTest, TheyAreTakenOverOnce) {
    EXPECT_FALSE(roles.kept());
    EXPECT_TRUE(roles.keep(std::array{MachineRole::Connector}));
    EXPECT_TRUE(roles.kept());
    EXPECT_TRUE(roles.on(MachineRole::Connector));
    EXPECT_FALSE(roles.on(MachineRole::Edge));
    EXPECT_TRUE(units.done.empty());
}

TEST_F(RolesTest, WhereNoneIsOnTheyAreKeptAllTheSame) {
    EXPECT_TRUE(roles.keep({}));
    EXPECT_TRUE(roles.kept());
}

TEST_F(RolesTest, WithoutSystemdThereAreNone) {
    const Roles none(temporary.path() / "roles", nullptr);
    EXPECT_TRUE(play(none.turn_on(MachineRole::Edge)));
    EXPECT_FALSE(none.on(MachineRole::Edge));
}

} // namespace
} // namespace p2prc::daemon
