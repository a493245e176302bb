// When a process is ready and whether it is healthy, with listeners from a script.
#include "net/fd.h"
#include "net/sockaddr.h"
#include "process/health.h"
#include "tests/unit/process/fake_systemd.h"
#include "tests/unit/support/eventually.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

namespace p2prc::process {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

// Units of probes run to their end at once.
class Probing : public FakeSystemd {
  public:
    Word start_transient(std::string unit, TransientUnit content, JobShare) override {
        ran.push_back(unit);
        last = std::move(content);
        if (on_run) on_run();
        if (hangs) {
            asio::steady_timer timer(co_await asio::this_coro::executor,
                                     asio::steady_timer::time_point::max());
            co_await timer.async_wait(asio::use_awaitable);
        }
        co_return result;
    }

    std::vector<std::string> ran;
    TransientUnit last;
    std::string result = "failed";
    bool hangs = false;
    std::function<void()> on_run;
};

// Answers every request with the status that it is told.
class WebServer {
  public:
    WebServer() {
        listening_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_storage name{};
        const auto size = net::to_sockaddr({net::Address::v4({127, 0, 0, 1}), 0}, name);
        EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
        EXPECT_EQ(::listen(listening_.get(), 4), 0);
        port = net::local_endpoint(listening_.get()).port;
        thread_ = std::thread([this] {
            for (;;) {
                const net::UniqueFd connection(::accept(listening_.get(), nullptr, nullptr));
                if (!connection) return;
                std::array<char, 4096> buffer{};
                (void)::recv(connection.get(), buffer.data(), buffer.size(), 0);
                const auto answer = "HTTP/1.1 " + std::to_string(status) + " Said\r\n\r\n";
                (void)::send(connection.get(), answer.data(), answer.size(), MSG_NOSIGNAL);
                ++asked;
            }
        });
    }
    ~WebServer() {
        ::shutdown(listening_.get(), SHUT_RDWR);
        thread_.join();
    }

    std::uint16_t port = 0;
    std::atomic<int> status = 200, asked = 0;

  private:
    net::UniqueFd listening_;
    std::thread thread_;
};

class HealthTest : public testing::Test {
  protected:
    struct Seen {
        int ready = 0;
        std::vector<std::string> lacks;
        std::string not_ready, unhealthy;
    };

    static ProcessSpec spec_of(const std::string& more = {}) {
        const auto spec = spec_from_toml("name = 'wiki'\nport = 8080\nrun.command = ['x']\n" + more, "wiki");
        EXPECT_TRUE(spec) << spec.error().message;
        return spec.value_or(ProcessSpec());
    }

    std::unique_ptr<Health::Watch> watch(const ProcessSpec& spec, Seen& seen, bool already_ready = false) {
        HealthTarget target{spec.name, Turn::First, "1", std::make_shared<const ProcessSpec>(spec),
                            spec.port};
        return health.watch(
            std::move(target),
            {.ready = [&] { ++seen.ready; },
             .lacks = [&](const std::string& what) { seen.lacks.push_back(what); },
             .not_ready = [&](const std::string& step,
                              const std::string& answer) { seen.not_ready = step + ": " + answer; },
             .unhealthy = [&](const std::string& step,
                              const std::string& answer) { seen.unhealthy = step + ": " + answer; }},
            already_ready);
    }

    template <class Condition>
    bool eventually(Condition condition) {
        loop.restart();
        return test::eventually(loop, condition);
    }
    void let_pass(std::chrono::milliseconds time) {
        loop.restart();
        loop.run_for(time);
    }
    void listen(std::uint16_t port, std::uint64_t group = 7) {
        listeners = {{net::Address::parse("127.0.0.1").value(), port, 0, group}};
    }

    asio::io_context loop;
    Probing systemd;
    std::vector<net::Listener> listeners;
    bool blind = false; // the kernel does not say who listens
    int looks = 0;
    bool pinned = false;
    std::chrono::nanoseconds slept{0};
    // Sockets of this test have the group of its own process, so none is asked for.
    Health health{loop.get_executor(), systemd,
                  Health::Sources{[this]() -> Result<std::vector<net::Listener>> {
                                      ++looks;
                                      if (blind) return fail(ErrorCode::Failed, "no netlink");
                                      return listeners;
                                  },
                                  [](const std::string&, Turn) { return UnitSockets{{7}, std::nullopt}; },
                                  [this](const BindRule&) { return pinned; },
                                  {},
                                  [this] { return slept; },
                                  std::chrono::seconds(2),
                                  std::chrono::seconds(3)}};
};

TEST_F(HealthTest, APortMustBeItsOwn) {
    listen(8080, 99);
    Seen seen;
    const auto watched = watch(spec_of(), seen);
    EXPECT_TRUE(eventually([&] { return !seen.lacks.empty(); }));
    EXPECT_THAT(seen.lacks.front(), HasSubstr("port 8080 is held by"));
    EXPECT_EQ(seen.ready, 0);
    listen(8080);
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    const auto before = looks;
    let_pass(300ms);
    EXPECT_EQ(looks, before) << "nobody waits any more";
    EXPECT_EQ(seen.ready, 1);
}

TEST_F(HealthTest, EachRunBecomesReadyAnew) {
    listeners = {{net::Address::parse("::1").value(), 8080, 0, 7}};
    Seen first, second;
    auto watched = watch(spec_of(), first);
    EXPECT_TRUE(eventually([&] { return first.ready == 1; }));
    listeners.clear();
    watched = watch(spec_of(), second);
    EXPECT_TRUE(eventually([&] { return !second.lacks.empty(); }));
    EXPECT_EQ(second.lacks.front(), "nothing listens on 127.0.0.1:8080");
    EXPECT_EQ(second.ready, 0);
}

TEST_F(HealthTest, WithoutAPortItHasToLiveForTwoSeconds) {
    auto spec = spec_of();
    spec.port.reset();
    Seen seen;
    const auto start = Clock::now();
    const auto watched = watch(spec, seen);
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    EXPECT_GE(Clock::now() - start, 1900ms);
    EXPECT_EQ(looks, 0);
}

TEST_F(HealthTest, WhereNobodyKnowsWhoListensLivingHasToSuffice) {
    blind = true;
    Seen seen;
    const auto watched = watch(spec_of(), seen);
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
}

TEST_F(HealthTest, AllThatWaitShareOneQuestion) {
    std::vector<std::unique_ptr<Health::Watch>> watches;
    Seen seen;
    for (int n = 0; n < 50; ++n)
        watches.push_back(watch(spec_of(), seen));
    EXPECT_TRUE(eventually([&] { return looks >= 10; }));
    EXPECT_LT(looks, 50);
    listen(8080);
    EXPECT_TRUE(eventually([&] { return seen.ready == 50; }));
}

TEST_F(HealthTest, WithoutATableItMayTakeAsLongAsItLikes) {
    Seen free, bound;
    const auto first = watch(spec_of(), free);
    const auto second = watch(spec_of("ready.timeout = '1s'"), bound);
    EXPECT_TRUE(eventually([&] { return !bound.not_ready.empty(); }));
    EXPECT_EQ(bound.not_ready, "port: nothing listens on 127.0.0.1:8080");
    EXPECT_EQ(bound.ready, 0);
    EXPECT_TRUE(eventually([&] { return !free.lacks.empty(); }));
    EXPECT_EQ(free.not_ready, "");
}

TEST_F(HealthTest, NothingIsSaidWhenTheWatchIsGone) {
    Seen seen;
    auto watched = watch(spec_of("ready.timeout = '1s'"), seen);
    let_pass(50ms);
    watched.reset();
    listen(8080);
    let_pass(1500ms);
    EXPECT_EQ(seen.ready, 0);
    EXPECT_EQ(seen.not_ready, "");
}

TEST_F(HealthTest, AnEventMayEndTheWatchAndBeginAnother) {
    listen(8080);
    std::unique_ptr<Health::Watch> watched, next;
    Seen seen;
    const auto spec = std::make_shared<const ProcessSpec>(spec_of());
    watched = health.watch({"wiki", Turn::First, "1", spec, 8080},
                           {.ready =
                                [&] {
                                    watched.reset();
                                    next = watch(*spec, seen);
                                }},
                           false);
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    EXPECT_FALSE(watched);
}

TEST_F(HealthTest, ItMayOutliveTheHealth) {
    Seen seen;
    std::unique_ptr<Health::Watch> watched;
    {
        Health brief(loop.get_executor(), systemd,
                     Health::Sources{[this]() -> Result<std::vector<net::Listener>> { return listeners; },
                                     [](const std::string&, Turn) { return UnitSockets(); }});
        watched =
            brief.watch({"wiki", Turn::First, "1", std::make_shared<const ProcessSpec>(spec_of()), 8080},
                        {.ready = [&] { ++seen.ready; }}, false);
    }
    let_pass(100ms);
    watched.reset();
    EXPECT_EQ(seen.ready, 0);
}

TEST_F(HealthTest, HttpIsAskedUntilItIsWell) {
    WebServer server;
    server.status = 503;
    auto spec = spec_of("ready.http = '/health'");
    spec.port = server.port;
    Seen seen;
    const auto watched = watch(spec, seen);
    EXPECT_TRUE(eventually([&] { return !seen.lacks.empty(); }));
    EXPECT_EQ(seen.lacks.front(), fmt::format("nothing listens on 127.0.0.1:{}", server.port));
    blind = true; // its socket is asked for no group then
    EXPECT_TRUE(eventually([&] { return seen.lacks.size() == 2; }));
    EXPECT_EQ(seen.lacks.back(), "GET /health: 503 Said");
    server.status = 200;
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
}

TEST_F(HealthTest, HttpThatIsNeverWellSaysWhatItAnsweredLast) {
    WebServer server;
    server.status = 500;
    blind = true;
    auto spec = spec_of("[ready]\nhttp = '/'\ntimeout = '4s'");
    spec.port = server.port;
    Seen seen;
    const auto watched = watch(spec, seen);
    EXPECT_TRUE(eventually([&] { return !seen.not_ready.empty(); }));
    EXPECT_EQ(seen.not_ready, "http: GET /: 500 Said");
    const int asked = server.asked;
    EXPECT_GT(asked, 0);
    let_pass(500ms);
    EXPECT_EQ(server.asked, asked);
}

// An application chooses the words, and every node hears them.
TEST_F(HealthTest, AnswersThatAlwaysChangeAreReportedNowAndThen) {
    WebServer server;
    blind = true;
    auto spec = spec_of("ready.http = '/'");
    spec.port = server.port;
    Seen seen;
    const auto watched = watch(spec, seen);
    EXPECT_TRUE(eventually([&] {
        server.status = 500 + server.asked % 50;
        return server.asked >= 6 && !seen.lacks.empty();
    }));
    EXPECT_LT(seen.lacks.size(), 3U);
}

TEST_F(HealthTest, ACommandIsRunUntilItSucceeds) {
    Seen seen;
    pinned = true;
    const auto watched = watch(spec_of("ready.command = 'pg_isready -q'"), seen);
    EXPECT_TRUE(eventually([&] { return systemd.ran.size() >= 3; }));
    EXPECT_EQ(systemd.ran.front(), "p2prcd-probe-wiki.service");
    EXPECT_THAT(systemd.last.drop_in, HasSubstr("ExecStart=:\"/bin/sh\" \"-c\" \"pg_isready -q\""));
    EXPECT_THAT(systemd.last.drop_in, HasSubstr("p2prcd-ports")) << "it is kept to its ports, too";
    EXPECT_EQ(seen.ready, 0);
    systemd.result = "done";
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    EXPECT_EQ(looks, 0);
}

TEST_F(HealthTest, ACommandThatIsUnderWayIsStoppedWithTheWatch) {
    systemd.hangs = true;
    Seen seen;
    auto watched = watch(spec_of("ready.command = 'sleep 9'"), seen);
    EXPECT_TRUE(eventually([&] { return systemd.ran.size() == 1; }));
    watched.reset();
    EXPECT_TRUE(eventually([&] { return !systemd.calls.empty(); }));
    EXPECT_EQ(systemd.calls.front(), "stop p2prcd-probe-wiki.service");
}

// systemd has heard from it before the unit was up.
TEST_F(HealthTest, WhatNotifiesIsReadyWhenItIsUp) {
    Seen seen;
    const auto watched = watch(spec_of("ready.notify = true"), seen);
    EXPECT_EQ(seen.ready, 0) << "never from within watch()";
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    EXPECT_EQ(looks, 0);
}

TEST_F(HealthTest, FailuresInARowMakeItUnhealthy) {
    listen(8080);
    Seen seen;
    const auto watched = watch(spec_of("[live]\nport = true\nevery = '1s'\nfailures = 2"), seen);
    EXPECT_TRUE(eventually([&] { return seen.ready == 1; }));
    const auto before = looks;
    EXPECT_TRUE(eventually([&] { return looks > before; }));
    EXPECT_EQ(seen.unhealthy, "");
    listeners.clear();
    EXPECT_TRUE(eventually([&] { return looks > before + 1; }));
    listen(8080); // one failure, and another that is not in a row with it
    EXPECT_TRUE(eventually([&] { return looks > before + 2; }));
    EXPECT_EQ(seen.unhealthy, "");
    listeners.clear();
    EXPECT_TRUE(eventually([&] { return !seen.unhealthy.empty(); }));
    EXPECT_EQ(seen.unhealthy, "port: nothing listens on 127.0.0.1:8080");
    EXPECT_EQ(seen.ready, 1);
}

TEST_F(HealthTest, WhatWasReadyBeforeIsOnlyWatched) {
    WebServer server;
    server.status = 500;
    blind = true;
    auto spec = spec_of("[live]\nhttp = '/'\nevery = '1s'\nfailures = 1");
    spec.port = server.port;
    Seen seen;
    const auto watched = watch(spec, seen, true);
    EXPECT_TRUE(eventually([&] { return !seen.unhealthy.empty(); }));
    EXPECT_EQ(seen.unhealthy, "http: GET /: 500 Said");
    EXPECT_EQ(seen.ready, 0);
    EXPECT_TRUE(seen.lacks.empty());
}

TEST_F(HealthTest, NobodyIsAskedForAWhileAfterTheMachineSlept) {
    Seen seen;
    const auto watched = watch(spec_of("[live]\nport = true\nevery = '1s'\nfailures = 1"), seen, true);
    slept = 1h;
    const auto start = Clock::now();
    EXPECT_TRUE(eventually([&] { return !seen.unhealthy.empty(); }));
    EXPECT_GE(Clock::now() - start, 2900ms);
}

TEST_F(HealthTest, WhatTheMachineSleptThroughCountsForNothing) {
    auto spec = spec_of("[live]\ncommand = 'x'\nfailures = 1");
    spec.live.every = 1s;
    systemd.on_run = [this] { slept += 1h; };
    Seen seen;
    const auto watched = watch(spec, seen, true);
    EXPECT_TRUE(eventually([&] { return systemd.ran.size() == 1; }));
    let_pass(100ms);
    EXPECT_EQ(seen.unhealthy, "");
}

} // namespace
} // namespace p2prc::process
