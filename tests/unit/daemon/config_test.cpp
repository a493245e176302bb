#include "daemon/boot_record.h"
#include "daemon/config.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/source_dir.h"

#include <gtest/gtest.h>

#include <fstream>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

class ConfigTest : public testing::Test {
  protected:
    ConfigTest() { fs::create_directories(root / "etc/p2prc/p2prcd.toml.d"); }
    void put(const std::string& path, const std::string& text) { std::ofstream(root / path) << text; }
    Result<Config> load() { return load_config(config_files(root)); }
    const net::TemporaryDirectory temporary;
    const fs::path& root = temporary.path();
};

TEST_F(ConfigTest, WithoutFilesTheDefaults) {
    EXPECT_EQ(*load(), Config{});
}

TEST_F(ConfigTest, TheShippedFileChangesNothing) {
    EXPECT_EQ(*load_config({test::source_path("units/p2prcd.toml")}), Config{});
}

TEST_F(ConfigTest, LaterFilesWin) {
    put("etc/p2prc/p2prcd.toml", "log = \"debug\"\n[remote]\nspin = \"no\"\n");
    put("etc/p2prc/p2prcd.toml.d/20-b.toml", "[remote]\nspin = \"any\"\n");
    put("etc/p2prc/p2prcd.toml.d/10-a.toml", "[remote]\nspin = \"sandboxed\"\n");
    put("etc/p2prc/p2prcd.toml.d/30-c.toml~", "nonsense");
    EXPECT_EQ(load()->log, net::LogLevel::Debug);
    EXPECT_EQ(load()->remote_spin, RemoteSpin::Any);
}

TEST_F(ConfigTest, ErrorsNameFileLineAndKey) {
    put("etc/p2prc/p2prcd.toml", "\n[remote]\nspni = \"any\"\n");
    const auto unknown = load();
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::InvalidSpec);
    EXPECT_NE(unknown.error().message.find("p2prcd.toml:3"), std::string::npos) << unknown.error().message;
    put("etc/p2prc/p2prcd.toml", "[remote]\nspin = \"all\"\n");
    EXPECT_FALSE(load());
    put("etc/p2prc/p2prcd.toml", "log = 7\n");
    EXPECT_FALSE(load());
}

TEST_F(ConfigTest, EndedBootIsReadBack) {
    EXPECT_EQ(read_ended_boot(root / "ended-boot"), "");
    ASSERT_TRUE(write_ended_boot(root / "ended-boot", "boot-1"));
    EXPECT_EQ(read_ended_boot(root / "ended-boot"), "boot-1");
}

} // namespace
} // namespace p2prc::daemon
