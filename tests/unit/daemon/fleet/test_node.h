// A node for tests: its state in a directory of its own, its fleet, and no systemd.
#pragma once

#include "daemon/fleet/fleet.h"
#include "state/fleet_state.h"
#include "tests/unit/net/temporary_directory.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <future>

namespace p2prc::daemon {

// Says which node it is, then what was asked.
class OneLine : public link::TextStream {
  public:
    explicit OneLine(std::string text) : text_(std::move(text)) {}
    boost::asio::awaitable<Result<std::optional<std::string>>> next() override {
        co_return std::exchange(text_, std::nullopt);
    }

  private:
    std::optional<std::string> text_;
};

inline boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>> one_line(std::string text) {
    std::unique_ptr<link::TextStream> stream = std::make_unique<OneLine>(std::move(text));
    co_return std::move(stream);
}

class TestNode {
  public:
    TestNode(boost::asio::io_context& loop, std::string name, bool listens)
        : loop_(loop)
        , name_(std::move(name))
        , listens_(listens) {
        reopen();
    }

    std::string socket_path() const { return (directory.path() / "control.sock").string(); }

    // As if p2prcd were started again, with its tables read from the disk.
    void reopen() {
        fleet.reset();
        replica.reset();
        own.reset();
        std::promise<void> written;
        disk.post([&] { written.set_value(); });
        written.get_future().wait();
        replica = std::move(*state::Replica::open((directory.path() / "replica.db").string(), disk));
        own = std::move(*state::OwnState::open((directory.path() / "own.db").string(), disk));
        make();
    }

    // The same, but for the tables.
    void make() {
        using namespace std::chrono_literals;
        fleet.reset();
        FleetOptions options;
        options.directory = directory.path();
        options.host_name = name_;
        options.root_port = root_port;
        options.units = units;
        options.open_logs = [name = name_](Json params) {
            return one_line(name + ": " + params.value("process", std::string()));
        };
        options.looked = [this] { ++looks; };
        options.measure_usage = [this]() -> boost::asio::awaitable<Result<Json>> {
            ++measurements;
            co_return usage();
        };
        options.node_renamed = [this](const std::string& to) { renamed = to; };
        options.link_timing = {hasty ? 500ms : 5s,  hasty ? 1s : 20s,   50ms, 100ms, 100ms,
                               hasty ? 400ms : 10s, hasty ? 200ms : 10s};
        options.link_timing.back = back;
        options.link_timing.join = join;
        options.hub_timing = {hasty ? 1s : 20s, hasty ? 500ms : 10s, hasty ? 1s : 20s, 50ms};
        options.hub_timing.usage = 20s;
        options.hub_timing.usage_fresh = usage_fresh;
        if (listens_) options.control_socket = listen();
        fleet = std::make_unique<Fleet>(loop_.get_executor(), disk, *replica, *own, std::move(options));
    }

    net::TemporaryDirectory directory;
    state::Disk disk;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
    std::uint16_t root_port = 443;
    UnitControl* units = nullptr;
    std::unique_ptr<Fleet> fleet;
    std::string renamed;
    bool hasty = false; // silence is noticed within moments, also where it is this machine that pauses
    int looks = 0;      // of somebody on another node
    int measurements = 0;
    std::uint32_t invented = 0; // processes of which it says what they use, although there are none
    std::chrono::milliseconds usage_fresh{0};
    std::chrono::milliseconds back{0};     // how long requests wait for a link that was lost just now
    std::chrono::milliseconds join{20000}; // how long a join waits for the link

  private:
    // Of all processes that it has in the fleet's records.
    Json usage() const {
        Json rows = Json::array();
        for (std::uint32_t i = 0; i < invented; ++i)
            rows.push_back({{"id", 1'000'000 + i}, {"invocation", "invented"}, {"memory_bytes", 4096}});
        for (const auto& process : replica->records().processes_on(fleet->node_name()))
            rows.push_back({{"id", replica->records().process(process)->record.id},
                            {"invocation", name_},
                            {"memory_bytes", 4096}});
        return {{"measured_usec", measurements}, {"processes", std::move(rows)}};
    }
    net::UniqueFd listen() const {
        net::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        const auto path = socket_path();
        path.copy(name.sun_path, sizeof name.sun_path - 1);
        ::unlink(path.c_str());
        EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
        EXPECT_EQ(::listen(fd.get(), 100), 0);
        return fd;
    }

    boost::asio::io_context& loop_;
    std::string name_;
    bool listens_;
};

} // namespace p2prc::daemon
