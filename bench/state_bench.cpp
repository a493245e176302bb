// What a commit and a list cost p2prcd on the fleet's root, with an empty fleet and with a full one: the real
// registry, replica, reconciler and objects on a bus of its own, over a systemd in memory. Members follow the
// feed, and what they would be sent is encoded and thrown away.
#include "core/process_status.h"
#include "core/records.h"
#include "daemon/api/api.h"
#include "daemon/api/documents.h"
#include "daemon/api/routes.h"
#include "daemon/api/view.h"
#include "link/feed.h"
#include "link/frame.h"
#include "process/reconciler.h"
#include "registry/local_registry.h"
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "store/sqlite.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/process/fake_systemd.h"
#include "tests/unit/support/private_bus.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <new>

namespace {

std::atomic<std::uint64_t> allocations{0};

} // namespace

void* operator new(std::size_t size) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

struct Scale {
    std::size_t nodes = 0;
    std::size_t processes = 0;
    std::size_t domains = 0;
};

constexpr std::size_t on_the_root = 20; // of the processes

std::string node_name(std::size_t number) {
    return number == 0 ? "root" : fmt::format("node{}", number);
}
std::string process_name(std::size_t number) {
    return fmt::format("app{}", number);
}
std::string fingerprint(std::size_t number) {
    return fmt::format("{:064x}", number + 1);
}

ProcessRecord process_record(std::size_t number, const Scale& scale) {
    ProcessRecord record;
    record.id = static_cast<std::uint32_t>(number + 1);
    record.name = process_name(number);
    record.node = node_name(number < on_the_root ? 0 : 1 + number % scale.nodes);
    record.spec = spec_from_document(Json{{"name", record.name},
                                          {"port", 0},
                                          {"run",
                                           {{"command", {"/usr/bin/app", "--listen", "$PORT"}},
                                            {"data", false},
                                            {"environment", {{"LANG", "C"}, {"MODE", "serve"}}}}},
                                          {"limits", {{"memory", "100M"}}}})
                      .value();
    record.port = static_cast<std::uint16_t>(20000 + number % 10000);
    record.digest = spec_digest(record.spec);
    record.created_at = "2026-01-02T03:04:05Z";
    record.changed_by = record.created_by = "ada@" + record.node;
    return record;
}

Json status_document(const ProcessRecord& record) {
    ProcessStatus status;
    status.id = record.id;
    status.name = record.name;
    status.node = record.node;
    status.state = ProcessState::Running;
    status.pid = 1000;
    status.invocation = status.ready_run = fingerprint(record.id).substr(32);
    status.boot_id = "boot";
    status.memory_bytes = 20u << 20;
    status.cpu_seconds = 1.5;
    status.since = "2026-01-02T03:04:05Z";
    status.digest = record.digest;
    status.applied = record.change;
    return status_to_json(status);
}

// What the registry of a fleet of that size holds, written at once.
void fill(const std::string& file, const Scale& scale) {
    store::SqliteOptions options;
    options.file = file;
    options.tables = {{std::string(registry::replicated_table), true}, {"private", false}};
    auto store = store::open_sqlite(options).value();
    store::Txn txn;
    const auto put = [&](const std::string& key, const Json& value) {
        txn.then.push_back(store::put(std::string(registry::replicated_table), key, value.dump()));
    };
    FleetRecord fleet;
    fleet.id = "bench";
    fleet.zone = "home.example";
    fleet.root = "root";
    fleet.public_ips = {"203.0.113.1"};
    put(std::string(keys::fleet), to_json(fleet));
    for (std::size_t i = 0; i <= scale.nodes; ++i) {
        NodeRecord node;
        node.name = node_name(i);
        node.key = fingerprint(3 * i);
        node.connector_key = fingerprint(3 * i + 1);
        node.role = i == 0 ? Role::Owner : Role::Member;
        node.joined_at = "2026-01-02T03:04:05Z";
        put(keys::node(node.name), to_json(node));
        if (i == 0) continue;
        put(keys::live(node.name), {{"state", "up"}, {"since", "2026-01-02T03:04:05Z"}});
        put(keys::node_info(node.name), {{"ipv4", "192.168.1.2"},
                                         {"architecture", "x86_64"},
                                         {"memory_bytes", 8u << 30},
                                         {"latency_ms", 12.5},
                                         {"remote_spin", "sandboxed"},
                                         {"checks", Json::array()}});
        put(keys::tunnel(node.name), {{"up", true}, {"detail", ""}});
    }
    for (std::size_t i = 0; i < scale.processes; ++i) {
        const auto record = process_record(i, scale);
        put(keys::process(record.name), to_json(record));
        if (i >= on_the_root) put(keys::status(record.node, record.id), status_document(record));
    }
    for (std::size_t i = 0; i < scale.domains; ++i) {
        const auto process = process_record(i % scale.processes, scale);
        DomainRecord domain;
        domain.mapping_id = static_cast<std::uint32_t>(i + 1);
        domain.domain = fmt::format("name{}.home.example", i);
        domain.process = process.name;
        domain.process_id = process.id;
        domain.node = process.node;
        domain.port = *process.port;
        domain.created_by = process.created_by;
        put(keys::domain(domain.domain), to_json(domain));
    }
    (void)store->txn(txn).value();
}

class BenchFleet : public FleetControl {
  public:
    explicit BenchFleet(registry::LocalRegistry& registry) : registry_(registry) {}
    std::string node_name() const override { return "root"; }
    bool is_root() const override { return true; }
    registry::Gateway& gateway() override { return registry_; }
    asio::awaitable<Result<Json>> init(Json, std::string) override { co_return none(); }
    asio::awaitable<Result<Json>> invite(std::string, std::uint64_t, std::string) override {
        co_return none();
    }
    asio::awaitable<Result<Json>> join(std::string, std::string, std::string) override { co_return none(); }
    asio::awaitable<Result<void>> leave(bool, std::string) override { co_return none(); }
    asio::awaitable<Result<void>> remove_node(std::string, std::string) override { co_return none(); }
    Result<std::string> web_ca() const override { return none(); }
    void look() override {}
    asio::awaitable<Json> usage(std::string) override { co_return Json::object(); }
    asio::awaitable<Result<std::unique_ptr<link::TextStream>>> logs(std::string, Json) override {
        co_return none();
    }

  private:
    static std::unexpected<Error> none() { return fail(ErrorCode::NotSupported, "not in a benchmark"); }
    registry::LocalRegistry& registry_;
};

// What the root's end of a link does for its member, but for TLS.
state::Subscription follow_as_member(registry::LocalRegistry& registry, state::FeedPosition position,
                                     std::size_t& sent) {
    return registry.follow(
        std::move(position),
        [&sent](const std::shared_ptr<const state::FeedStep>& step) {
            link::FeedWriter writer(step);
            while (!writer.done())
                sent += writer.next()->size();
        },
        [](const Error&) {});
}

double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::size_t resident_kib() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmRSS:")) return std::strtoul(line.c_str() + 6, nullptr, 10);
    return 0;
}

// Of what malloc() was asked for; the rest of what is resident is code, stacks, and what glibc has not given
// back.
std::size_t allocated_mib() {
    const auto now = mallinfo2();
    return (now.uordblks + now.hblkhd) >> 20U;
}

struct Cost {
    double milliseconds = 0; // of the processor, on all threads
    double allocations = 0;
};

// Without a limit of time: the machine may be a busy one.
template <class T>
T run_on(asio::io_context& loop, asio::awaitable<T> work) {
    std::optional<T> result;
    asio::co_spawn(loop, std::move(work), [&](std::exception_ptr thrown, T value) {
        if (thrown) std::rethrow_exception(thrown);
        result = std::move(value);
    });
    loop.restart();
    while (!result)
        loop.run_one_for(200ms);
    return std::move(*result);
}

class Bench {
  public:
    Bench(Scale scale, std::size_t members);
    std::map<std::string, Cost> run(int rounds);
    std::size_t sent() const { return sent_; }

  private:
    template <class Work>
    Cost measure(int rounds, Work work) {
        const auto before = allocations.load();
        const auto begin = cpu_seconds();
        for (int i = 0; i < rounds; ++i)
            work(i);
        return {(cpu_seconds() - begin) * 1000 / rounds,
                static_cast<double>(allocations.load() - before) / rounds};
    }
    Json ask(const registry::Actor& actor, const std::string& method, const Json& params) {
        auto answer = run_on(bus_.io, registry_.request_as(actor, method, params));
        if (!answer) throw std::runtime_error(method + ": " + answer.error().message);
        // What is put off for a moment, so that it is done once for several changes, is a part of it.
        bus_.io.restart();
        bus_.io.run_for(60ms);
        return *answer;
    }

    Scale scale_;
    net::TemporaryDirectory directory_;
    test::PrivateBus bus_;
    state::Disk disk_;
    std::unique_ptr<state::Replica> replica_;
    std::unique_ptr<state::OwnState> own_;
    registry::LocalRegistry registry_;
    BenchFleet fleet_;
    process::FakeSystemd systemd_;
    process::FakeJournal journal_;
    std::unique_ptr<process::Reconciler> reconciler_;
    std::unique_ptr<dbus::Bus> server_;
    std::unique_ptr<Api> api_;
    std::vector<state::Subscription> followers_;
    std::size_t sent_ = 0;
};

std::unique_ptr<registry::Registry> open_registry(const std::string& file, const Scale& scale) {
    fill(file, scale);
    registry::RegistryOptions options;
    options.file = file;
    return registry::Registry::open(std::move(options)).value();
}

Bench::Bench(Scale scale, std::size_t members)
    : scale_(scale)
    , replica_(state::Replica::open(directory_.path() / "replica.db", disk_).value())
    , own_(state::OwnState::open(directory_.path() / "own.db", disk_).value())
    , registry_(open_registry(directory_.path() / "registry.db", scale), disk_, bus_.io.get_executor())
    , fleet_(registry_) {
    registry_.act_as("root", Role::Owner);
    followers_.push_back(registry::feed_replica(registry_, *replica_, [](const Error&) {}));
    while (!replica_->get(keys::fleet)) {
        bus_.io.restart();
        bus_.io.run_for(10ms);
    }
    process::ReconcilerOptions options{
        .node = "root",
        .boot_id = "boot",
        .data = {directory_.path() / "data", directory_.path() / "private", directory_.path() / "owners"}};
    options.check_port = [](std::uint16_t, std::string_view) { return Result<void>{}; };
    reconciler_ = std::make_unique<process::Reconciler>(bus_.io.get_executor(), systemd_, *replica_, *own_,
                                                        journal_, std::move(options));
    run_on(bus_.io, reconciler_->start()).value();
    server_ = bus_.connect();
    api_ = std::make_unique<Api>(
        ApiParts{.bus = *server_,
                 .fleet = fleet_,
                 .replica = *replica_,
                 .own = *own_,
                 .ports = {.listeners = []() -> Result<std::vector<net::Listener>> {
                               return std::vector<net::Listener>();
                           },
                           .unit = [](const std::string&) -> process::UnitSockets { return {}; }}});
    run_on(bus_.io, api_->start()).value();
    for (std::size_t i = 0; i < members; ++i)
        followers_.push_back(follow_as_member(registry_, replica_->position(), sent_));
    bus_.io.restart();
    bus_.io.run_for(500ms);
}

std::map<std::string, Cost> Bench::run(int rounds) {
    const registry::Actor owner{"root", Role::Owner, "ada", true};
    const auto last = process_record(scale_.processes - 1, scale_);
    const registry::Actor member{last.node, Role::Member, "ada", false};
    std::map<std::string, Cost> costs;
    costs["status of one process"] = measure(rounds, [&](int i) {
        auto status = status_document(last);
        status["restarts"] = i + 1;
        ask(member, "status.update", {{"set", {{keys::status(last.node, last.id), status}}}});
    });
    costs["restart of one process"] =
        measure(rounds, [&](int) { ask(owner, "process.restart", {{"process", last.name}}); });
    costs["spin of one process"] = measure(rounds, [&](int i) {
        ask(owner, "process.spin",
            {{"spec",
              {{"name", fmt::format("new{}", i)},
               {"run", {{"command", {"/usr/bin/app"}}, {"data", false}}}}}});
    });
    costs["map of one domain"] = measure(rounds, [&](int i) {
        ask(owner, "domain.map", {{"domain", fmt::format("new{}.home.example", i)}, {"process", last.name}});
    });
    costs["unmap of one domain"] = measure(rounds, [&](int i) {
        ask(owner, "domain.unmap", {{"domain", fmt::format("new{}.home.example", i)}});
    });
    const View& view = api_->view();
    costs["list of all processes"] = measure(5, [&](int) { (void)process_rows(view); });
    costs["list of all domains"] = measure(5, [&](int) { (void)domain_rows(view); });
    costs["one process by id"] = measure(100, [&](int) { (void)view.find_process(std::to_string(last.id)); });
    costs["table of routes"] = measure(5, [&](int) { (void)route_table(view); });
    return costs;
}

std::size_t number(char** arguments, int count, int at, std::size_t otherwise) {
    return count > at ? std::strtoul(arguments[at], nullptr, 10) : otherwise;
}

} // namespace
} // namespace p2prc::daemon

int main(int count, char** arguments) {
    using namespace p2prc::daemon;
    const Scale full{number(arguments, count, 1, 1000), number(arguments, count, 2, 10000),
                     number(arguments, count, 3, 12000)};
    const auto members = number(arguments, count, 4, full.nodes);
    const int rounds = static_cast<int>(number(arguments, count, 5, 10));
    const Scale small{1, 21, 21};
    std::map<std::string, Cost> on_small, on_full;
    {
        Bench bench(small, 1);
        on_small = bench.run(rounds);
    }
    const auto before = resident_kib();
    const auto begun = cpu_seconds();
    Bench bench(full, members);
    fmt::print("start of the full one: {:.1f} s of the processor\n", cpu_seconds() - begun);
    std::fflush(stdout);
    fmt::print("{} nodes, {} processes, {} domains, {} members that follow: {} MiB resident, {} MiB "
               "allocated; {} MiB resident before\n",
               full.nodes, full.processes, full.domains, members, resident_kib() / 1024, allocated_mib(),
               before / 1024);
    on_full = bench.run(rounds);
    fmt::print("{:<24} {:>12} {:>12} {:>8} {:>14} {:>14}\n", "", "small ms", "full ms", "ratio",
               "small allocs", "full allocs");
    for (const auto& [what, cost] : on_full) {
        const auto& little = on_small.at(what);
        fmt::print("{:<24} {:>12.3f} {:>12.3f} {:>8.1f} {:>14.0f} {:>14.0f}\n", what, little.milliseconds,
                   cost.milliseconds, cost.milliseconds / std::max(little.milliseconds, 0.0001),
                   little.allocations, cost.allocations);
    }
    return 0;
}
