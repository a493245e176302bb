#include "process/bind_failure.h"

#include <gtest/gtest.h>

#include <vector>

namespace p2prc::process {
namespace {

std::string words(std::vector<std::string> command, const BindRule& rule,
                  const std::vector<std::string>& log) {
    ProcessSpec spec;
    spec.run.command = std::move(command);
    return bind_failure(spec, rule, log);
}

const std::vector<std::string> python{
    "    socketserver.TCPServer.server_bind(self)",
    "  File \"/usr/lib/python3.11/socketserver.py\", line 472, in server_bind",
    "    self.socket.bind(self.server_address)", "PermissionError: [Errno 1] Operation not permitted"};

TEST(BindFailure, OfAProcessWithoutAPort) {
    EXPECT_EQ(words({"python3", "-m", "http.server", "8222"}, {}, python),
              "it may bind no port, as it has none: spin it with --port 8222");
    EXPECT_EQ(words({"python3", "server.py"}, {}, python),
              "it may bind no port, as it has none: spin it with --port PORT");
    EXPECT_EQ(words({"server", "80", "443"}, {}, python),
              "it may bind no port, as it has none: spin it with --port PORT")
        << "nobody knows which";
}

TEST(BindFailure, OfAProcessWithAnother) {
    EXPECT_EQ(words({"server", "--listen=0.0.0.0:8222", "--workers", "8120"}, {{8120}}, python),
              "it may bind only its own port 8120 ($PORT): let it bind that, spin it with --port 8222, or "
              "add 8222 to "
              "`ports` in its file");
    EXPECT_NE(words({"server"}, {{8120, 8130}}, python).find("its own ports 8120, 8130"), std::string::npos);
    EXPECT_EQ(words({"server", "80", "8222"}, {{443}, true}, python),
              "it may not bind a port below 1024 but 443");
}

TEST(BindFailure, InTheWordsOfOtherLanguages) {
    for (const char* line : {"Error: listen EPERM: operation not permitted 0.0.0.0:8222",
                             "listen tcp :8222: bind: operation not permitted",
                             "nginx: [emerg] bind() to 0.0.0.0:8222 failed (1: Operation not permitted)",
                             "java.net.SocketException: Operation not permitted"})
        EXPECT_NE(words({"server"}, {}, {line}), "") << line;
}

TEST(BindFailure, IsNotWhatElseIsRefused) {
    EXPECT_EQ(words({"server", "8222"}, {}, {"chown: changing ownership of 'x': Operation not permitted"}),
              "");
    EXPECT_EQ(words({"server", "8222"}, {}, {"bind: Address already in use"}), "");
    EXPECT_EQ(words({"server", "8222"}, {}, {}), "");
}

} // namespace
} // namespace p2prc::process
