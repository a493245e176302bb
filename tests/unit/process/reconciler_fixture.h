// A reconciler over a systemd and a journal in memory, with real state on disk.
#pragma once

#include "process/reconciler.h"
#include "process/unit_names.h"
#include "state/disk.h"
#include "state/origins.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/process/fake_systemd.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <future>

namespace p2prc::process {

namespace fs = std::filesystem;
inline const std::string unit = "p2prc-web.service";

class ReconcilerTest : public testing::Test {
  protected:
    ReconcilerTest() {
        fs::create_directories(directory / "units");
        open();
    }
    ~ReconcilerTest() override {
        close();
        for (const auto& warning : warnings)
            EXPECT_EQ(warning.find("fault of p2prcd"), std::string::npos) << warning;
    }

    void open() {
        disk = std::make_unique<state::Disk>();
        replica = std::move(*state::Replica::open(directory / "replica.db", *disk));
        own = std::move(*state::OwnState::open(directory / "own.db", *disk));
    }
    void close() {
        reconciler.reset();
        loop.restart();
        loop.poll();
        replica.reset();
        own.reset();
        disk.reset();
    }

    void start(bool clean_shutdown = false) {
        ReconcilerOptions options{
            .node = "home1",
            .boot_id = boot,
            .ended_boot = clean_shutdown ? last_boot : "",
            .remote_spin = RemoteSpin::Sandboxed,
            .data = {directory / "data", directory / "private", directory / "owners", exchange},
            .unit_directories = {directory / "units"},
            .check_port = [this](std::uint16_t port, std::string_view) -> Result<void> {
                if (port != held_port || port == 0) return {};
                return fail(ErrorCode::PortTaken, "port 8000 is held by python3 (admin.service)");
            },
            .warn = [this](std::string_view message, std::string_view) { warnings.emplace_back(message); },
            .first_retry_pause = first_retry_pause,
            .longest_retry_pause = std::chrono::hours(2),
            .first_ports_pause = first_ports_pause,
            .confirm = confirm,
            .update_limit = update_limit,
            .drain = drain,
            .drain_look = std::chrono::milliseconds(10),
            .has_connections = [this](std::uint16_t port) { return connections(port); },
            .pins = directory / "pins",
            .deployments = {.notes = directory / "deployments",
                            .root = directory / "deploy",
                            .hidden_root = directory / "hidden",
                            .cache = directory / "cache",
                            .hidden_cache = directory / "hidden-cache",
                            .deployers = {directory / "deployers"},
                            .owner = getuid(),
                            .first_pause = std::chrono::milliseconds(1),
                            .longest_pause = std::chrono::milliseconds(4)},
            .notifiers = {.directory = directory / "notify.d",
                          .owner = getuid(),
                          .release_after = release_after},
            .health = Health::Sources{.listeners = [this]() -> Result<std::vector<net::Listener>> {
                                          if (!listeners) return fail(ErrorCode::Failed, "no netlink");
                                          return *listeners;
                                      },
                                      .unit =
                                          [this](const std::string&, Turn turn) {
                                              return UnitSockets{{turn == Turn::First ? 7 : group_of_second},
                                                                 std::nullopt};
                                          },
                                      .lived_enough = lived_enough}};
        reconciler =
            std::make_unique<Reconciler>(loop.get_executor(), systemd, *replica, *own, journal, options);
        boost::asio::co_spawn(loop, reconciler->start(), boost::asio::detached);
        run();
    }
    // p2prcd ends and begins again; the units stay, or go with the machine.
    void daemon_restart(bool with_the_machine = false, bool clean_shutdown = false) {
        reconciler.reset();
        systemd.events = {};
        systemd.calls.clear();
        if (with_the_machine) {
            systemd.loaded.clear();
            last_boot = boot;
            boot += "'";
        }
        start(clean_shutdown);
    }
    // Until nothing is left to do.
    virtual void run() {
        loop.restart();
        loop.run_for(std::chrono::minutes(1));
    }

    ProcessRecord record(std::uint32_t id = 7, std::string name = "web") {
        ProcessRecord result;
        result.id = id;
        result.name = name;
        result.node = "home1";
        result.created_by = "alice@home1";
        result.changed_by = "alice@home1";
        result.spec.name = name;
        result.spec.run.command = {"/usr/bin/web"};
        result.digest = spec_digest(result.spec);
        return result;
    }
    void commit(std::string key, std::optional<Json> value) {
        std::vector<state::Change> changes;
        changes.push_back({std::move(key), std::move(value), 0});
        ASSERT_TRUE(replica->apply("store", replica->revision() + 1, changes) ||
                    (replica->reset("store", replica->revision() + 1, changes), true));
        run();
    }
    // BPFProgram= of the unit's last start.
    std::string bind_programs() const {
        for (const auto& property : systemd.started.at(unit))
            if (property.name == "BPFProgram") return property.value.dump();
        return "none";
    }
    void want(const ProcessRecord& wanted) { commit(keys::process(wanted.name), to_json(wanted)); }
    void kill(std::uint32_t id, const std::string& name) {
        commit(keys::process(name), std::nullopt);
        commit(keys::tombstone(id), to_json(Tombstone{id, name, "home1", "bob@root", "now"}));
    }
    std::optional<ProcessStatus> status(std::uint32_t id = 7) const {
        const auto value = own->get(keys::status("home1", id));
        if (!value) return {};
        return status_from_json(*value);
    }
    void expect(ProcessState state, std::optional<StopKind> kind = {}, std::uint32_t id = 7) {
        const auto now = status(id);
        ASSERT_TRUE(now);
        EXPECT_EQ(process_state_name(now->state), process_state_name(state));
        if (kind) {
            ASSERT_TRUE(now->reason);
            EXPECT_EQ(stop_kind_name(now->reason->kind), stop_kind_name(*kind)) << now->reason->detail;
        }
    }
    int count(const std::string& call) { return static_cast<int>(std::ranges::count(systemd.calls, call)); }

    const net::TemporaryDirectory temporary;
    const fs::path& directory = temporary.path();
    boost::asio::io_context loop;
    std::unique_ptr<state::Disk> disk;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
    FakeSystemd systemd;
    FakeJournal journal;
    std::unique_ptr<Reconciler> reconciler;
    std::uint16_t held_port = 0;
    // Of the process's own control group where that is 7; nothing: nobody can say, and every port is taken
    // for its own.
    std::optional<std::vector<net::Listener>> listeners;
    std::uint64_t group_of_second = 7; // of the sockets of a process's second unit
    std::chrono::milliseconds lived_enough{0};
    std::string boot = "boot1", last_boot;
    std::vector<std::string> warnings;
    std::chrono::milliseconds first_retry_pause = std::chrono::hours(1);
    std::chrono::milliseconds first_ports_pause = std::chrono::hours(1);
    std::chrono::milliseconds confirm{20}, update_limit{20};
    DataDirectories::Exchange exchange; // empty: the kernel's
    std::chrono::milliseconds release_after{1};
    std::chrono::milliseconds drain{60'000};
    std::function<bool(std::uint16_t)> connections = [](std::uint16_t) { return false; };
};

// Where an attempt is waited for, the loop is never out of work.
class RetryTest : public ReconcilerTest {
  protected:
    // Until nothing has happened for half a second of the loop's time: a pause of the machine is one look
    // only.
    void run() override {
        for (int quiet = 0; quiet < 20;) {
            loop.restart();
            std::promise<void> written;
            disk->post([&] { written.set_value(); });
            written.get_future().wait();
            const auto ran = loop.run_one_for(std::chrono::milliseconds(25)) + loop.poll();
            quiet = ran == 0 ? quiet + 1 : 0;
        }
    }
    void give_up() {
        systemd.end(unit, {"exit-code", CLD_EXITED, 1, ""}); // and systemd does not start it again
        run();
    }
};

} // namespace p2prc::process
