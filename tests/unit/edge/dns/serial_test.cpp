#include "edge/dns/serial.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace p2prc::edge::dns::testing {
namespace {

class SerialTest : public ::testing::Test {
  protected:
    std::filesystem::path file() const { return directory_ / "serials"; }

    static std::vector<ZoneData> zone(const std::string& text) {
        return {*compile_zone({"home.example", {"192.0.2.1"}, text, "z", {}}, {})};
    }
    // The serial that a server started afresh gives.
    std::uint32_t serve(const std::string& text, std::uint64_t revision) const {
        Serials serials(file());
        EXPECT_TRUE(serials.load());
        auto zones = zone(text);
        EXPECT_TRUE(serials.assign(zones, revision));
        return zones[0].serial();
    }
    const net::TemporaryDirectory temporary_;
    const std::filesystem::path& directory_ = temporary_.path();
};

TEST(SerialOrder, IsThatOfRfc1982) {
    EXPECT_TRUE(serial_after(1, 0));
    EXPECT_FALSE(serial_after(0, 1));
    EXPECT_FALSE(serial_after(5, 5));
    EXPECT_TRUE(serial_after(0, UINT32_MAX));
    EXPECT_TRUE(serial_after(0x7fffffff, 0));
    EXPECT_FALSE(serial_after(0x80000000, 0));
    EXPECT_FALSE(serial_after(0, 0x80000000));
}

TEST_F(SerialTest, FollowsTheRevisionAndTheContent) {
    EXPECT_EQ(serve("", 10), 10u);
    EXPECT_EQ(serve("", 20), 10u); // nothing changed
    EXPECT_EQ(serve("a A 192.0.2.1\n", 20), 20u);
    EXPECT_EQ(serve("a A 192.0.2.2\n", 20), 21u);
}

TEST_F(SerialTest, NeverGoesBackwards) {
    EXPECT_EQ(serve("", 1000), 1000u);
    EXPECT_EQ(serve("a A 192.0.2.1\n", 3), 1001u); // a registry restored from an old backup
    EXPECT_EQ(serve("", 4), 1002u);
}

TEST_F(SerialTest, WrapsAroundZero) {
    EXPECT_EQ(serve("", 0xffffffffu), 0xffffffffu);
    EXPECT_EQ(serve("a A 192.0.2.1\n", 0xfffffff0u), 1u);
    EXPECT_EQ(serve("", 0x100000005u), 5u);
}

TEST_F(SerialTest, TakesThatOfTheZonesFileWhereItMovesOn) {
    const std::string soa = "@ SOA ns1 h 2024010100 1 1 1 60\n";
    EXPECT_EQ(serve(soa, 1), 2024010100u);
    EXPECT_EQ(serve(soa, 2), 2024010100u);
    EXPECT_EQ(serve(soa + "a A 192.0.2.1\n", 3), 2024010101u);
    EXPECT_EQ(serve("@ SOA ns1 h 2024010200 1 1 1 60\na A 192.0.2.1\n", 4), 2024010200u);
    EXPECT_EQ(serve("@ SOA ns1 h 5 1 1 1 60\na A 192.0.2.1\n", 5), 2024010200u);
}

TEST_F(SerialTest, IsNotServedUnlessItIsOnDisk) {
    Serials serials(directory_ / "missing" / "serials");
    auto zones = zone("");
    EXPECT_FALSE(serials.assign(zones, 1));
}

TEST_F(SerialTest, AFileThatCannotBeReadIsAnError) {
    std::ofstream(file()) << "home.example\n";
    Serials serials(file());
    EXPECT_FALSE(serials.load());
}

} // namespace
} // namespace p2prc::edge::dns::testing
