#include "net/file.h"
#include "net/identity.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace p2prc::net {
namespace {

TEST(Identity, IsMadeOnceAndStays) {
    const TemporaryDirectory directory;
    const auto first = load_or_create_identity(directory.path());
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->fingerprint().size(), 64U);
    EXPECT_EQ(first->fingerprint(), certificate_fingerprint(first->certificate()));
    EXPECT_EQ(first->fingerprint(), key_fingerprint(first->key()));
    const auto second = load_or_create_identity(directory.path());
    ASSERT_TRUE(second);
    EXPECT_EQ(first->fingerprint(), second->fingerprint());
    struct stat status{};
    ASSERT_EQ(::stat((directory.path() / "key.pem").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST(Identity, IsReplacedOnRequest) {
    const TemporaryDirectory directory;
    const auto first = load_or_create_identity(directory.path());
    const auto second = create_identity(directory.path());
    ASSERT_TRUE(first && second);
    EXPECT_NE(first->fingerprint(), second->fingerprint());
    EXPECT_EQ(load_or_create_identity(directory.path())->fingerprint(), second->fingerprint());
}

TEST(Identity, HasAnAge) {
    const TemporaryDirectory directory;
    EXPECT_EQ(identity_age(directory.path()), std::chrono::seconds::max()) << "there is none";
    ASSERT_TRUE(create_identity(directory.path()));
    EXPECT_LT(identity_age(directory.path()), std::chrono::minutes(1));
    const auto made = [&](std::chrono::hours ago) {
        std::filesystem::last_write_time(directory.path() / "key.pem",
                                         std::filesystem::file_time_type::clock::now() - ago);
    };
    made(std::chrono::hours(3));
    EXPECT_EQ(std::chrono::duration_cast<std::chrono::hours>(identity_age(directory.path())).count(), 3);
    made(std::chrono::hours(-3));
    EXPECT_EQ(identity_age(directory.path()), std::chrono::seconds::max()) << "the clock was wrong";
}

TEST(Identity, DamagedKeyIsKeptAndRefused) {
    const TemporaryDirectory directory;
    ASSERT_TRUE(write_file_atomically(directory.path() / "key.pem", "not a key"));
    const auto identity = load_or_create_identity(directory.path());
    ASSERT_FALSE(identity);
    EXPECT_NE(identity.error().message.find("key.pem"), std::string::npos);
    EXPECT_EQ(read_file(directory.path() / "key.pem"), "not a key");
}

TEST(Identity, EachKeyIsAnother) {
    EXPECT_NE(Identity::generate()->fingerprint(), Identity::generate()->fingerprint());
}

} // namespace
} // namespace p2prc::net
