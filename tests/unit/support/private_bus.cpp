#include "tests/unit/support/private_bus.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace p2prc::test {

namespace {

constexpr const char* allow_all =
    "<policy context=\"default\"><allow send_destination=\"*\"/>"
    "<allow receive_sender=\"*\"/><allow own=\"*\"/><allow user=\"*\"/></policy>";

} // namespace

PrivateBus::PrivateBus(const std::string& policy) {
    std::string pattern = std::filesystem::temp_directory_path() / "p2prc-bus-XXXXXX";
    if (!mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
    address_ = "unix:path=" + directory_ + "/bus";
    chmod(directory_.c_str(), 0755); // connections come from other users too
    std::ofstream(directory_ + "/bus.conf")
        << "<busconfig><type>session</type><listen>" << address_
        << "</listen><auth>EXTERNAL</auth><limit name=\"max_message_size\">134217728</limit>"
        // As on a system bus, where a session bus has a gigabyte.
        << "<limit name=\"max_incoming_bytes\">133169152</limit>"
           "<limit name=\"max_outgoing_bytes\">133169152</limit>"
        << (policy.empty() ? allow_all : policy) << "</busconfig>";
    int ready[2];
    if (pipe2(ready, 0) < 0) throw std::runtime_error("pipe");
    pid_ = fork();
    if (pid_ == 0) {
        close(ready[0]);
        // With a test program that crashes: whoever reads its output would wait for the bus, too.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        // It complains that it may not raise its own limit of descriptors.
        const int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        const std::string config = "--config-file=" + directory_ + "/bus.conf";
        const std::string print = "--print-address=" + std::to_string(ready[1]);
        execlp("dbus-daemon", "dbus-daemon", "--nofork", config.c_str(), print.c_str(), nullptr);
        _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    const bool up = read(ready[0], &byte, 1) == 1; // its address, once it listens
    close(ready[0]);
    if (!up) throw std::runtime_error("dbus-daemon did not start");
}

PrivateBus::~PrivateBus() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

void PrivateBus::kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
}

void PrivateBus::pause() {
    ::kill(pid_, SIGSTOP);
}

void PrivateBus::resume() {
    ::kill(pid_, SIGCONT);
}

std::unique_ptr<dbus::Bus> PrivateBus::connect() {
    auto bus = dbus::Bus::open_address(io.get_executor(), address_);
    if (!bus) throw std::runtime_error(bus.error().message);
    return std::move(*bus);
}

std::string PrivateBus::run_as(const std::string& user, const std::string& arguments) {
    std::atomic<bool> done = false;
    std::string output;
    std::thread thread([&] {
        const std::string command = "setpriv --reuid " + user +
                                    " --regid nogroup --clear-groups busctl --address=" + address_ +
                                    " --timeout=5 " + arguments + " 2>&1; echo exit $?";
        FILE* pipe = popen(command.c_str(), "r");
        char line[512];
        while (pipe && fgets(line, sizeof line, pipe))
            output += line;
        if (pipe) pclose(pipe);
        done = true;
    });
    io.restart();
    while (!done)
        io.run_one_for(std::chrono::milliseconds(20));
    thread.join();
    return output;
}

} // namespace p2prc::test
