#include "daemon/process/data_directories.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace p2prc::daemon {
namespace {

namespace fs = std::filesystem;

class DataDirectoriesTest : public testing::Test {
  protected:
    DataDirectoriesTest() {
        fs::create_directories(top / "data");
        fs::create_directories(top / "private/data");
        directories.emplace(top / "data", top / "private/data", top / "owners");
    }

    // As systemd makes it for a dynamic user.
    void make_dynamic(const std::string& name) {
        fs::create_directory(top / "private/data" / name);
        fs::create_directory_symlink(fs::path("../private/data") / name, top / "data" / name);
        std::ofstream(top / "data" / name / "file") << "precious";
    }

    const net::TemporaryDirectory temporary;
    const fs::path& top = temporary.path();
    std::optional<DataDirectories> directories;
};

TEST_F(DataDirectoriesTest, FirstUseNotesItsOwner) {
    EXPECT_EQ(directories->prepare("web", 7), "");
    EXPECT_EQ(directories->owner("web"), 7u);
    EXPECT_EQ(directories->owner("other"), 0u);
}

TEST_F(DataDirectoriesTest, ItsOwnDataStays) {
    ASSERT_TRUE(directories->prepare("web", 7));
    make_dynamic("web");
    EXPECT_EQ(directories->prepare("web", 7), "");
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
}

TEST_F(DataDirectoriesTest, AnothersDataIsMovedAsideWhole) {
    ASSERT_TRUE(directories->prepare("web", 7));
    make_dynamic("web");
    EXPECT_EQ(directories->prepare("web", 8), (top / "data/web.7").string());
    EXPECT_FALSE(fs::exists(fs::symlink_status(top / "data/web")));
    EXPECT_FALSE(fs::exists(top / "private/data/web"));
    EXPECT_TRUE(fs::exists(top / "data/web.7/file"));
    EXPECT_EQ(directories->owner("web"), 8u);
}

TEST_F(DataDirectoriesTest, DataOfAnUnknownOwnerToo) {
    fs::create_directory(top / "data/web");
    EXPECT_EQ(directories->prepare("web", 8), (top / "data/web.0").string());
    fs::create_directory(top / "data/web");
    ASSERT_TRUE(directories->set_owner("web", 0));
    EXPECT_EQ(directories->prepare("web", 9), (top / "data/web.0-2").string());
}

} // namespace
} // namespace p2prc::daemon
