#include "core/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

namespace p2prc {
namespace {

TEST(ErrorTable, EveryCodeHasItsRowAndName) {
    std::set<std::string_view> names;
    for (const auto& row : error_table()) {
        EXPECT_EQ(&error_info(row.code), &row);
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_EQ(error_code_from_name(row.name), row.code);
        EXPECT_EQ(error_code_from_name(std::string(error_dbus_prefix) + std::string(row.name)), row.code);
        EXPECT_GE(row.exit_status, 1);
        EXPECT_LE(row.exit_status, 7);
    }
}

TEST(ErrorTable, ExitStatusesAreTheContract) {
    EXPECT_EQ(error_info(ErrorCode::NotFound).exit_status, 3);
    EXPECT_EQ(error_info(ErrorCode::NotPermitted).exit_status, 4);
    EXPECT_EQ(error_info(ErrorCode::Unreachable).exit_status, 5);
    EXPECT_EQ(error_info(ErrorCode::Conflict).exit_status, 6);
    EXPECT_EQ(error_info(ErrorCode::DomainTaken).exit_status, 6);
    EXPECT_EQ(error_info(ErrorCode::InvalidSpec).exit_status, 7);
}

TEST(ErrorTable, AnUnknownNameIsFailed) {
    EXPECT_EQ(error_code_from_name("org.p2prc1.Error.FromTheFuture"), ErrorCode::Failed);
}

TEST(SystemError, KeepsTheKindOfErrno) {
    EXPECT_EQ(system_error("open x", EACCES).code, ErrorCode::NotPermitted);
    EXPECT_EQ(system_error("open x", ENOENT).code, ErrorCode::NotFound);
    EXPECT_EQ(system_error("open x", EIO).code, ErrorCode::Failed);
    EXPECT_NE(system_error("open x", EIO).message.find("open x: "), std::string::npos);
}

} // namespace
} // namespace p2prc
