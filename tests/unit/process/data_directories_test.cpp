#include "process/data_directories.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>

#include <fstream>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

class DataDirectoriesTest : public testing::Test {
  protected:
    DataDirectoriesTest() {
        fs::create_directories(top / "data");
        fs::create_directories(top / "private/data");
        directories.emplace(top / "data", top / "private/data", top / "notes");
    }

    static ProcessRecord web(std::uint32_t id, std::string command = "/usr/bin/web") {
        ProcessRecord record;
        record.id = id;
        record.name = record.spec.name = "web";
        record.spec.run.command = {std::move(command)};
        return record;
    }
    Result<std::string> prepare(const ProcessRecord& record, Origin origin = Origin::Local) {
        return directories->prepare(record, origin);
    }
    std::uint32_t owner() {
        const auto note = directories->note("web");
        return note && *note ? (*note)->id : 0;
    }
    void write_note(const std::string& text) {
        fs::create_directories(top / "notes");
        std::ofstream(top / "notes/web") << text;
    }

    // As systemd makes it for a dynamic user.
    void make_dynamic(const std::string& name = "web") {
        fs::create_directory(top / "private/data" / name);
        fs::create_directory_symlink(fs::path("../private/data") / name, top / "data" / name);
        std::ofstream(top / "data" / name / "file") << "precious";
    }

    const net::TemporaryDirectory temporary;
    const fs::path& top = temporary.path();
    std::optional<DataDirectories> directories;
};

TEST_F(DataDirectoriesTest, FirstUseNotesItsOwner) {
    EXPECT_EQ(prepare(web(7)), "");
    EXPECT_EQ(owner(), 7u);
    const auto other = directories->note("other");
    ASSERT_TRUE(other);
    EXPECT_FALSE(*other);
}

TEST_F(DataDirectoriesTest, ItsOwnDataStays) {
    ASSERT_TRUE(prepare(web(7)));
    make_dynamic();
    EXPECT_EQ(prepare(web(7)), "");
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
}

TEST_F(DataDirectoriesTest, AnothersDataIsMovedAsideWhole) {
    ASSERT_TRUE(prepare(web(7)));
    make_dynamic();
    EXPECT_EQ(prepare(web(8)), (top / "data/web.7").string());
    EXPECT_FALSE(fs::exists(fs::symlink_status(top / "data/web")));
    EXPECT_FALSE(fs::exists(top / "private/data/web"));
    EXPECT_TRUE(fs::exists(top / "data/web.7/file"));
    EXPECT_EQ(owner(), 8u);
    make_dynamic();
    EXPECT_EQ(prepare(web(7)), (top / "data/web.8").string());
    make_dynamic();
    EXPECT_EQ(prepare(web(8)), (top / "data/web.7-2").string());
}

TEST_F(DataDirectoriesTest, WhatWasCopiedThereByHandIsTakenOver) {
    make_dynamic();
    EXPECT_EQ(prepare(web(8)), "");
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
    EXPECT_EQ(owner(), 8u);
}

TEST_F(DataDirectoriesTest, AnotherNodesProcessTakesNothingOver) {
    make_dynamic();
    EXPECT_EQ(prepare(web(8), Origin::Remote), (top / "data/web.0").string());
    EXPECT_TRUE(fs::exists(top / "data/web.0/file"));
}

TEST_F(DataDirectoriesTest, ANoteThatIsNotReadableIsNotNobodys) {
    make_dynamic();
    for (const auto* damaged : {"", "\n", "0", "seven", "7x", "7 beef", "99999999999"}) {
        write_note(damaged);
        const auto prepared = prepare(web(7));
        ASSERT_FALSE(prepared) << damaged;
        EXPECT_NE(prepared.error().message.find((top / "notes/web").string()), std::string::npos)
            << prepared.error().message;
        EXPECT_FALSE(prepared.error().hint.empty());
    }
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
    fs::remove(top / "notes/web");
    fs::create_directory(top / "notes/web"); // a file that cannot be read
    EXPECT_FALSE(prepare(web(7)));
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
}

TEST_F(DataDirectoriesTest, ANoteOfAnEarlierVersionCounts) {
    write_note("7\n");
    make_dynamic();
    EXPECT_EQ(prepare(web(7)), "");
    EXPECT_EQ(directories->note("web").value(), (DataNote{7, spec_digest(web(7).spec)}));
    write_note("6\n");
    auto joined = web(7);
    joined.former_ids = {6};
    EXPECT_EQ(prepare(joined), "");
}

TEST_F(DataDirectoriesTest, ItsDataComesAlongIntoAFleet) {
    ASSERT_TRUE(prepare(web(1)));
    make_dynamic();
    auto joined = web(40);
    joined.former_ids = {1};
    EXPECT_EQ(prepare(joined, Origin::Remote), "");
    EXPECT_EQ(owner(), 40u);
}

TEST_F(DataDirectoriesTest, FormerIdsAreNoKeyToAnothersData) {
    ASSERT_TRUE(prepare(web(7)));
    make_dynamic();
    auto thief = web(99, "/usr/bin/thief");
    thief.former_ids = {7};
    EXPECT_EQ(prepare(thief, Origin::Remote), (top / "data/web.7").string());
    EXPECT_FALSE(fs::exists(top / "data/web"));
}

TEST_F(DataDirectoriesTest, TheIdAloneIsNoKeyToItsData) {
    ASSERT_TRUE(prepare(web(7)));
    make_dynamic();
    const auto thief = prepare(web(7, "/usr/bin/thief"), Origin::Remote);
    ASSERT_FALSE(thief);
    EXPECT_EQ(thief.error().code, ErrorCode::Conflict);
    EXPECT_EQ(prepare(web(7)), "");
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
}

TEST_F(DataDirectoriesTest, ARevisionThatWasSpunHereGetsItsData) {
    ASSERT_TRUE(prepare(web(7)));
    make_dynamic();
    EXPECT_EQ(prepare(web(7, "/usr/bin/web2")), "");
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
    EXPECT_FALSE(prepare(web(7, "/usr/bin/thief"), Origin::Remote));
    const auto any = directories->prepare(web(7, "/usr/bin/web3"), Origin::Remote, RemoteSpin::Any);
    EXPECT_EQ(any, "");
}

TEST_F(DataDirectoriesTest, WhatWasSpunElsewhereIsRevisedFromAnywhere) {
    ASSERT_TRUE(prepare(web(7), Origin::Remote));
    make_dynamic();
    EXPECT_EQ(prepare(web(7, "/usr/bin/web2"), Origin::Remote), "");
    EXPECT_EQ(prepare(web(7, "/usr/bin/web3"), Origin::Local), "");
    EXPECT_EQ(prepare(web(7, "/usr/bin/web2"), Origin::Remote), "") << "an update of it may be taken back";
    EXPECT_TRUE(fs::exists(top / "data/web/file"));
}

TEST_F(DataDirectoriesTest, WhatRunsKeepsItsDataUnderANewId) {
    ASSERT_TRUE(prepare(web(7)));
    ASSERT_TRUE(directories->rename(web(40)));
    EXPECT_EQ(owner(), 40u);
    ASSERT_TRUE(directories->rename(web(41, "/usr/bin/thief")));
    EXPECT_EQ(owner(), 40u);
}

TEST_F(DataDirectoriesTest, NamesThatArePathsAreRefused) {
    fs::create_directories(top / "private/data/x");
    for (const auto* name : {"x/../../victim", "..", "", "a\nb", "web.7"}) {
        auto record = web(7);
        record.name = record.spec.name = name;
        EXPECT_FALSE(prepare(record)) << name;
        EXPECT_FALSE(directories->note(name)) << name;
    }
    EXPECT_FALSE(fs::exists(top / "notes"));
}

TEST_F(DataDirectoriesTest, ACopyAndTheDataChangePlacesOnce) {
    for (const bool dynamic : {true, false}) {
        const auto at = [&](const std::string& name) {
            return (dynamic ? top / "private/data" : top / "data") / name;
        };
        const auto text = [&](const std::string& name) {
            std::string words;
            std::getline(std::ifstream(top / "data" / name / "file"), words);
            return words;
        };
        if (dynamic) {
            make_dynamic();
            make_dynamic("web.copying");
        } else {
            for (const auto* name : {"web", "web.copying"}) {
                fs::create_directory(at(name));
                std::ofstream(at(name) / "file") << "precious";
            }
        }
        EXPECT_FALSE(directories->has_copy("web", {7, 2}));
        ASSERT_TRUE(directories->finish_copy("web", {7, 2}));
        EXPECT_TRUE(directories->has_copy("web", {7, 2}));
        EXPECT_FALSE(directories->has_copy("web", {7, 3}));
        EXPECT_FALSE(fs::exists(at("web.copying")));
        std::ofstream(at("web") / "file") << "spoilt";
        ASSERT_TRUE(directories->put_back("web"));
        EXPECT_EQ(text("web"), "precious");
        EXPECT_EQ(text("web.before"), "spoilt");
        ASSERT_TRUE(directories->put_back("web")) << "p2prcd ended before it had written that down";
        EXPECT_EQ(text("web"), "precious");
        // The next copy has the directory, and nothing is taken for a copy until it is whole.
        ASSERT_TRUE(directories->begin_copy("web"));
        EXPECT_TRUE(fs::exists(at("web.copying")));
        EXPECT_FALSE(directories->is_there("web.before"));
        EXPECT_FALSE(directories->put_back("web"));
        EXPECT_EQ(text("web"), "precious");
        fs::remove_all(top / "data");
        fs::remove_all(top / "private/data");
        fs::create_directories(top / "data");
        fs::create_directories(top / "private/data");
    }
}

TEST_F(DataDirectoriesTest, ACopyGoesWithTheDataOfItsProcess) {
    EXPECT_EQ(prepare(web(7)), "");
    make_dynamic();
    make_dynamic("web.copying");
    ASSERT_TRUE(directories->finish_copy("web", {7, 2}));
    EXPECT_EQ(prepare(web(8, "/usr/bin/other")), (top / "data/web.7").string());
    EXPECT_TRUE(fs::exists(top / "data/web.7.before/file"));
    EXPECT_FALSE(directories->is_there("web.before"));
    EXPECT_FALSE(directories->has_copy("web", {7, 2}));
}

TEST_F(DataDirectoriesTest, WhetherDirectoriesCanBeExchangedIsKnownBefore) {
    EXPECT_TRUE(directories->check_exchange());
    EXPECT_TRUE(DataDirectories(top / "none", top / "none", top / "notes").check_exchange());
    for (const int error : {EINVAL, EXDEV}) {
        const DataDirectories unable(top / "data", top / "private/data", top / "notes",
                                     [error](const fs::path& one, const fs::path& other) {
                                         EXPECT_TRUE(fs::is_directory(one) && fs::is_directory(other));
                                         return error;
                                     });
        const auto refused = unable.check_exchange();
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::NotSupported);
        EXPECT_EQ(refused.error().message.find("unknown file system"), std::string::npos)
            << refused.error().message;
    }
    EXPECT_TRUE(fs::is_empty(top / "data"));
}

TEST_F(DataDirectoriesTest, UnfinishedCopiesAreFound) {
    make_dynamic("web.copying");
    fs::create_directory(top / "data/mail.copying");
    fs::create_directory(top / "data/Bad Name.copying");
    fs::create_directory(top / "data/web.before");
    EXPECT_EQ(directories->unfinished_copies(), (std::set<std::string>{"mail", "web"}));
}

TEST_F(DataDirectoriesTest, WhatIsNotTheCopyIsNotPutBack) {
    make_dynamic();
    make_dynamic("web.copying");
    ASSERT_TRUE(directories->finish_copy("web", {7, 2}));
    fs::rename(top / "private/data/web.before", top / "private/data/aside");
    fs::create_directory(top / "private/data/web.before");
    EXPECT_FALSE(directories->put_back("web"));
    fs::remove(top / "private/data/web.before");
    fs::create_directory_symlink(top / "private/data/aside", top / "private/data/web.before");
    EXPECT_FALSE(directories->put_back("web")) << "a link to it";
}

} // namespace
} // namespace p2prc::process
