#include "net/file.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace p2prc::net {
namespace {

TEST(File, WritesReadsAndReplaces) {
    const TemporaryDirectory directory;
    const auto path = directory.path() / "state";
    ASSERT_TRUE(write_file_atomically(path, "one", 0644));
    ASSERT_TRUE(write_file_atomically(path, std::string(100'000, 'x'), 0600));
    EXPECT_EQ(read_file(path), std::string(100'000, 'x'));
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    // Nothing is left beside it.
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(File, MissingAndTooLargeAreErrors) {
    const TemporaryDirectory directory;
    const auto path = directory.path() / "state";
    EXPECT_EQ(read_file(path).error().code, ErrorCode::NotFound);
    ASSERT_TRUE(write_file_atomically(path, "12345"));
    EXPECT_EQ(read_file(path, 4).error().code, ErrorCode::InvalidSpec);
    EXPECT_TRUE(read_file(path, 5));
    EXPECT_FALSE(write_file_atomically(directory.path() / "none" / "state", "x"));
}

TEST(File, WhatIsNoFileIsNamed) {
    const TemporaryDirectory directory;
    const auto listed = read_file(directory.path());
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, ErrorCode::InvalidSpec);
    EXPECT_EQ(listed.error().message, directory.path().string() + " is a directory, not a file");
    EXPECT_FALSE(listed.error().hint.empty());
    const auto endless = read_file("/dev/zero");
    ASSERT_FALSE(endless);
    EXPECT_EQ(endless.error().message, "/dev/zero is a device, not a file");
    EXPECT_EQ(read_file("/dev/null"), "");
    const auto path = directory.path() / "large";
    ASSERT_TRUE(write_file_atomically(path, std::string((1 << 20) + 1, 'x')));
    EXPECT_EQ(read_file(path, 1 << 20).error().message, path.string() + " is larger than 1 MiB");
    EXPECT_FALSE(read_file(path, 1 << 20).error().hint.empty());
}

TEST(File, RemovingWhatIsNotThereIsNoError) {
    const TemporaryDirectory directory;
    const auto path = directory.path() / "state";
    ASSERT_TRUE(write_file_atomically(path, "one"));
    EXPECT_TRUE(remove_file(path));
    EXPECT_EQ(read_file(path).error().code, ErrorCode::NotFound);
    EXPECT_TRUE(remove_file(path));
    EXPECT_FALSE(remove_file(directory.path()));
}

} // namespace
} // namespace p2prc::net
