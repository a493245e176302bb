#include "net/fd.h"
#include "net/handover.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

namespace p2prc::net {
namespace {

bool readable(int fd, int milliseconds) {
    pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&wanted, 1, milliseconds) == 1;
}

// Whether `fd` brings `byte` within five seconds.
bool brings(int fd, char byte) {
    char got = 0;
    return readable(fd, 5000) && read(fd, &got, 1) == 1 && got == byte;
}

// In the original: hands over. In the copy: says so, and echoes one byte.
[[noreturn]] void serve(int socket) {
    boost::asio::io_context context;
    char byte = 0;
    if (read(socket, &byte, 1) != 1) _exit(1); // until the test traces it
    if (!hand_over_to_copy(context, 7)) _exit(2);
    if (write(socket, "c", 1) != 1 || read(socket, &byte, 1) != 1 || write(socket, &byte, 1) != 1) _exit(3);
    _exit(0);
}

TEST(HandoverTest, TheCopyGoesOnOnlyOnceTheOriginalIsGone) {
    std::array<int, 2> pair{};
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
    const UniqueFd own(pair[0]);
    UniqueFd other(pair[1]);
    const pid_t original = fork();
    ASSERT_GE(original, 0);
    if (original == 0) serve(other.get());
    other.reset();
    // Held where it ends, before Linux closes its files: the longest that the two may overlap.
    ASSERT_EQ(ptrace(PTRACE_SEIZE, original, nullptr, PTRACE_O_TRACEEXIT), 0);
    ASSERT_EQ(write(own.get(), "g", 1), 1);
    int status = 0;
    ASSERT_EQ(waitpid(original, &status, 0), original);
    ASSERT_EQ(status >> 8, SIGTRAP | (PTRACE_EVENT_EXIT << 8));
    EXPECT_FALSE(readable(own.get(), 300)) << "the copy runs beside the original";
    ASSERT_EQ(ptrace(PTRACE_CONT, original, nullptr, nullptr), 0);
    ASSERT_EQ(waitpid(original, &status, 0), original);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 7);
    EXPECT_TRUE(brings(own.get(), 'c'));
    ASSERT_EQ(write(own.get(), "x", 1), 1);
    EXPECT_TRUE(brings(own.get(), 'x')) << "what it holds stays open";
}

} // namespace
} // namespace p2prc::net
