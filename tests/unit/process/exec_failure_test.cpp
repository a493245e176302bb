#include "process/exec_failure.h"
#include "tests/unit/net/temporary_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <vector>

namespace p2prc::process {
namespace {

namespace fs = std::filesystem;

class ExecFailureTest : public testing::Test {
  protected:
    ExecFailureTest() { fs::permissions(top, fs::perms(0755)); }

    std::string words(const std::string& program, const std::string& error, Origin origin = Origin::Local) {
        ProcessSpec spec;
        spec.run.command = {program};
        spec.run.user = user;
        const std::vector<std::string> log{
            "p2prc-bot.service: Failed to locate executable " + program + ": " + error,
            "p2prc-bot.service: Failed at step EXEC spawning " + program + ": " + error};
        return exec_failure(spec, origin, log);
    }
    std::string file(const std::string& name, const std::string& content, mode_t mode = 0755) {
        const auto path = top / name;
        std::ofstream(path) << content;
        chmod(path.c_str(), mode);
        return path.string();
    }
    static bool says(const std::string& words, const std::string& part) {
        return words.find(part) != std::string::npos;
    }

    const net::TemporaryDirectory temporary;
    const fs::path& top = temporary.path();
    std::string user;
    const std::string missing = "No such file or directory", denied = "Permission denied";
};

TEST_F(ExecFailureTest, WhatIsNotThere) {
    EXPECT_EQ(words("/srv/no-such-bot", missing), "/srv/no-such-bot does not exist");
    EXPECT_EQ(words("no-such-bot", missing), "there is no command no-such-bot");
    EXPECT_TRUE(says(words("/tmp/no-such-bot", missing), "its own /tmp"));
    EXPECT_TRUE(says(words("/home/anna/no-such-bot", missing, Origin::Remote), "another node"));
}

// systemd cannot say why: the journal is closed to another node's process before its command is executed.
TEST_F(ExecFailureTest, WithoutSystemdsWordsTheFilesTell) {
    const auto silent = [&](const std::string& program, Origin origin = Origin::Remote) {
        ProcessSpec spec;
        spec.run.command = {program};
        return exec_failure(spec, origin, {});
    };
    EXPECT_EQ(silent("/srv/no-such-bot"), "/srv/no-such-bot does not exist");
    EXPECT_EQ(silent("no-such-bot"), "there is no command no-such-bot");
    EXPECT_TRUE(says(silent("/home/anna/no-such-bot"), "another node"));
    EXPECT_TRUE(says(silent(file("plain.sh", "#!/bin/sh\n", 0644)), "chmod +x"));
    EXPECT_TRUE(says(silent(top.string()), "is a directory"));
    EXPECT_TRUE(says(silent(file("dos.sh", "#!/bin/sh\r\necho\r\n")), "Windows"));
    EXPECT_TRUE(says(silent(file("lost.py", "#! /usr/bin/python9 -u\n")), "/usr/bin/python9"));
    EXPECT_TRUE(says(silent(file("notes", "milk\n")), "neither a program"));
    EXPECT_EQ(silent(file("fine.sh", "#!/bin/sh -e\n")), "");
    EXPECT_EQ(silent("/bin/sleep"), "");
    EXPECT_EQ(silent("/srv/no-such-bot", Origin::Local), "");
}

TEST_F(ExecFailureTest, AnInterpreterThatIsNotThere) {
    EXPECT_TRUE(says(words(file("dos.sh", "#!/bin/sh\r\necho\r\n"), missing), "Windows"));
    EXPECT_TRUE(says(words(file("lost.py", "#!/usr/bin/python9\n"), missing), "/usr/bin/python9"));
    EXPECT_TRUE(says(words(file("program", "\x7f"
                                           "ELF"),
                           missing),
                     "another system"));
    // Nothing of a file that is no script is repeated.
    EXPECT_FALSE(says(words(file("secret", "hunter2\n"), missing), "hunter2"));
}

TEST_F(ExecFailureTest, WhatItMayNotExecute) {
    EXPECT_TRUE(says(words(file("plain.sh", "#!/bin/sh\n", 0644), denied), "chmod +x"));
    EXPECT_TRUE(says(words(file("own.sh", "#!/bin/sh\n", 0700), denied), "mode 0700"));
    fs::create_directory(top / "closed");
    const auto inside = file("closed/bot.sh", "#!/bin/sh\n");
    fs::permissions(top / "closed", fs::perms(0700));
    EXPECT_EQ(words(inside, denied),
              "the directory " + (top / "closed").string() + " is closed to its user (mode 0700)");
    fs::create_directory(top / "open");
    EXPECT_TRUE(says(words((top / "open").string(), denied), "is a directory"));
    EXPECT_TRUE(says(words("/home/anna/bot.py", denied), "homes are closed"));
    user = "anna";
    EXPECT_TRUE(says(words(inside, denied), "user anna may not"));
}

TEST_F(ExecFailureTest, WhatIsNoProgram) {
    EXPECT_TRUE(says(words(file("script", "echo hello\n"), "Exec format error"), "#!/bin/sh"));
}

TEST_F(ExecFailureTest, TheFileOfACredentialIsNamed) {
    ProcessSpec spec;
    EXPECT_EQ(credentials_failure(spec), "");
    const auto there = file("users", "anna\n"), absent = (top / "absent").string();
    spec.run.credentials = {{"users", there}, {"token", absent}};
    EXPECT_EQ(credentials_failure(spec), absent + " of run.credentials is missing");
    spec.run.credentials = {{"token", there}};
    EXPECT_EQ(credentials_failure(spec), "run.credentials: " + there + " cannot be read");
    spec.run.credentials = {{"token", "/root/token"}};
    EXPECT_EQ(credentials_failure(spec), "run.credentials: /root/token cannot be read");
}

TEST_F(ExecFailureTest, TheUserIsNamed) {
    ProcessSpec spec;
    EXPECT_EQ(user_failure(spec), "");
    spec.run.user = "ana";
    const auto users = file("passwd", "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n");
    EXPECT_EQ(user_failure(spec, users),
              "run.user: there is no user 'ana' on this machine; did you mean 'anna'?");
    spec.run.user = "postgres";
    EXPECT_EQ(user_failure(spec, users),
              "run.user: there is no user 'postgres' on this machine; useradd --system makes one");
    EXPECT_EQ(user_failure(spec, users + ".not"),
              "run.user: there is no user 'postgres' on this machine; useradd --system makes one");
}

TEST_F(ExecFailureTest, TheStepIsAsSystemdLogsIt) {
    const auto step = [](std::vector<std::string> log) { return failed_step(log); };
    EXPECT_EQ(step({}), "");
    EXPECT_EQ(step({"ready", "web.service: Failed at step USER spawning /bin/true: No such process"}),
              "USER");
    EXPECT_EQ(step({"web.service: Failed at step USER", "Failed at step"}), "");
}

TEST_F(ExecFailureTest, WhatIsNotKnownIsNotGuessed) {
    EXPECT_EQ(words("/bin/true", "Input/output error"), "");
    EXPECT_EQ(exec_failure({}, Origin::Local, {}), "");
}

} // namespace
} // namespace p2prc::process
