// p2prcd's objects on a private bus, over real states and a fleet from a script.
#pragma once

#include "core/process_status.h"
#include "core/records.h"
#include "daemon/api/api.h"
#include "daemon/api/view.h"
#include "dbus/client.h"
#include "state/disk.h"
#include "state/own_state.h"
#include "state/replica.h"
#include "tests/unit/net/temporary_directory.h"
#include "tests/unit/support/private_bus.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace p2prc::daemon {

// Answers each method by its function; without one, Unreachable.
class FakeGateway : public registry::Gateway {
  public:
    boost::asio::awaitable<Result<Json>> request(std::string method, Json params) override {
        requests.emplace_back(method, params);
        const auto found = answers.find(method);
        if (found == answers.end()) co_return fail(ErrorCode::Unreachable, "the root is away");
        co_return found->second(params);
    }
    bool reachable() const override { return !answers.empty(); }
    bool connecting() const override { return is_connecting; }
    std::optional<Error> upload_trouble() const override { return trouble; }

    std::optional<Error> trouble;
    std::map<std::string, std::function<Result<Json>(const Json&)>> answers;
    std::vector<std::pair<std::string, Json>> requests;
    bool is_connecting = false;
};

class FakeStream : public link::TextStream {
  public:
    explicit FakeStream(std::deque<std::string> pieces, bool* destroyed = nullptr, bool endless = false,
                        std::optional<Error> end = {})
        : pieces_(std::move(pieces))
        , destroyed_(destroyed)
        , endless_(endless)
        , end_(std::move(end)) {}
    ~FakeStream() override {
        if (destroyed_) *destroyed_ = true;
    }
    boost::asio::awaitable<Result<std::optional<std::string>>> next() override {
        if (pieces_.empty() && endless_) co_await test::sleep_for(std::chrono::hours(1));
        if (pieces_.empty() && end_) co_return std::unexpected(*end_);
        if (pieces_.empty()) co_return std::optional<std::string>();
        std::optional<std::string> piece = std::move(pieces_.front());
        pieces_.pop_front();
        co_return piece;
    }

  private:
    std::deque<std::string> pieces_;
    bool* destroyed_;
    bool endless_;
    std::optional<Error> end_; // after the pieces; without one, the log is whole
};

class FakeFleet : public FleetControl {
  public:
    std::string node_name() const override { return node; }
    bool is_root() const override { return root; }
    registry::Gateway& gateway() override { return requests; }
    boost::asio::awaitable<Result<Json>> init(Json options, std::string by) override {
        options["by"] = by;
        co_return options;
    }
    boost::asio::awaitable<Result<Json>> invite(std::string role, std::uint64_t expires,
                                                std::string) override {
        co_return Json{{"token", "p2prc1_" + role}, {"expires", std::to_string(expires)}};
    }
    boost::asio::awaitable<Result<Json>> join(std::string token, std::string name, std::string) override {
        co_return Json{{"name", name}, {"domain", token}};
    }
    boost::asio::awaitable<Result<void>> leave(bool force, std::string) override {
        if (!force) co_return fail(ErrorCode::Unreachable, "the root is away", "use --force");
        co_return Result<void>{};
    }
    boost::asio::awaitable<Result<void>> remove_node(std::string name, std::string) override {
        removed.push_back(name);
        co_return Result<void>{};
    }
    void look() override {}
    boost::asio::awaitable<Json> usage(std::string of) override {
        usage_requests.push_back(of);
        co_return used;
    }
    Result<std::string> web_ca() const override { return fail(ErrorCode::NotFound, "no web CA"); }
    boost::asio::awaitable<Result<std::unique_ptr<link::TextStream>>> logs(std::string from,
                                                                           Json params) override {
        log_requests.emplace_back(from, params);
        if (!stream) co_return fail(ErrorCode::Unreachable, "node '" + from + "' is away");
        co_return std::move(stream);
    }

    std::string node = "home1";
    bool root = false;
    FakeGateway requests;
    std::vector<std::string> removed;
    std::vector<std::pair<std::string, Json>> log_requests;
    std::unique_ptr<link::TextStream> stream;
    Json used = Json::object();
    std::vector<std::string> usage_requests;
};

class ApiTest : public ::testing::Test {
  protected:
    explicit ApiTest(const std::string& policy = {}, HelperUsers helpers = {"root", "root"}) : bus(policy) {
        replica = state::Replica::open(directory.path() / "replica.db", disk).value();
        own = state::OwnState::open(directory.path() / "own.db", disk).value();
        server = bus.connect();
        user = bus.connect();
        api = std::make_unique<Api>(ApiParts{
            .bus = *server,
            .fleet = fleet,
            .replica = *replica,
            .own = *own,
            .check_spec = [this](const ProcessSpec&) { return check_spec; },
            .apply_limits = [this](std::string node) -> boost::asio::awaitable<Result<void>> {
                applied.push_back(node);
                co_return limits_apply;
            },
            .users = helpers,
            .accepts = [this](const ProcessRecord& record) -> Result<void> {
                if (record.name != refused) return {};
                return fail(ErrorCode::NotPermitted, "this node runs no processes for other nodes");
            },
            .ports = {.listeners = [this]() -> Result<std::vector<net::Listener>> { return listeners; },
                      .unit = [](const std::string& process) -> process::UnitSockets {
                          return {{std::hash<std::string>()(process) | 1U}, std::nullopt};
                      }},
            .cgroup_root = directory.path() / "cgroup"});
        client = std::make_unique<dbus::Client>(*user);
    }

    void start() {
        const auto started = bus.run(api->start());
        ASSERT_TRUE(started) << started.error().message;
    }

    // One transaction of the registry, as the watch brings it.
    void commit(std::map<std::string, std::optional<Json>> values) {
        ++revision;
        std::vector<state::Change> changes;
        for (auto& [key, value] : values)
            changes.push_back({key, value, revision});
        if (replica->store_id().empty())
            replica->reset("store", revision, changes);
        else
            ASSERT_TRUE(replica->apply("store", revision, changes));
    }

    static ProcessRecord process(std::uint32_t id, const std::string& name,
                                 const std::string& node = "home1") {
        ProcessRecord record;
        record.id = id;
        record.name = name;
        record.node = node;
        record.spec =
            spec_from_document(Json{{"name", name}, {"run", {{"command", "exec " + name}}}}).value();
        record.digest = spec_digest(record.spec);
        record.created_by = "ada@home1";
        return record;
    }
    static Json status(const ProcessRecord& record, ProcessState state,
                       std::optional<StopReason> reason = {}) {
        ProcessStatus status;
        status.id = record.id;
        status.name = record.name;
        status.node = record.node;
        status.state = state;
        status.since = "2026-01-02T03:04:05Z";
        status.reason = std::move(reason);
        status.applied = record.change;
        status.invocation = "1"; // and it is ready, where it runs
        status.ready_run = "1";
        status.digest = record.digest;
        return status_to_json(status);
    }
    void report(const ProcessRecord& record, ProcessState state, std::optional<StopReason> reason = {}) {
        own->set(keys::status(record.node, record.id), status(record, state, std::move(reason)));
    }

    // A small fleet: root, home1 (this one), a process here with a domain, one on the root.
    void populate() {
        wiki.port = wiki.spec.port = 8080;
        wiki.digest = spec_digest(wiki.spec);
        FleetRecord about;
        about.zone = "home.example";
        about.root = "root1";
        about.public_ips = {"203.0.113.1", "2001:db8::1"};
        NodeRecord here;
        here.name = "home1";
        here.key = std::string(64, 'a');
        here.connector_key = std::string(64, 'c');
        NodeRecord root;
        root.name = "root1";
        root.key = std::string(64, 'b');
        root.edge_key = std::string(64, 'e');
        root.role = Role::Owner;
        DomainRecord domain;
        domain.mapping_id = 5;
        domain.domain = "wiki.home.example";
        domain.process = "wiki";
        domain.process_id = 7;
        domain.node = "home1";
        domain.port = 8080;
        domain.tls = TlsMode::Passthrough;
        commit({{std::string(keys::fleet), to_json(about)},
                {keys::node("home1"), to_json(here)},
                {keys::node("root1"), to_json(root)},
                {keys::live("root1"), Json{{"state", "up"}, {"since", "2026-01-01T00:00:00Z"}}},
                {keys::process("wiki"), to_json(wiki)},
                {keys::domain("wiki.home.example"), to_json(domain)}});
        report(wiki, ProcessState::Running);
    }

    // Of the process `name`, as if its unit listened on 127.0.0.1.
    static net::Listener listener_of(const std::string& name, std::uint16_t port) {
        return {net::Address::v4({127, 0, 0, 1}), port, 1000, std::hash<std::string>()(name) | 1U, false};
    }

    // Runs the loop until `done`.
    template <class Done>
    bool wait(Done done) {
        auto loop = [](Done condition) -> boost::asio::awaitable<Result<bool>> {
            for (int round = 0; round < 1000 && !condition(); ++round)
                co_await test::sleep_for(std::chrono::milliseconds(5));
            co_return condition();
        };
        return bus.run(loop(done)).value();
    }

    net::TemporaryDirectory directory;
    test::PrivateBus bus;
    state::Disk disk;
    FakeFleet fleet;
    std::unique_ptr<state::Replica> replica;
    std::unique_ptr<state::OwnState> own;
    std::unique_ptr<dbus::Bus> server;
    std::unique_ptr<dbus::Bus> user;
    std::unique_ptr<Api> api;
    std::unique_ptr<dbus::Client> client;
    std::uint64_t revision = 0;
    ProcessRecord wiki = process(7, "wiki");
    std::vector<net::Listener> listeners = {listener_of("wiki", 8080)};
    std::string refused;              // the process that this node does not accept
    std::vector<std::string> applied; // the owners whose limits systemd was given
    Result<void> limits_apply;
    Result<void> check_spec; // what this machine says of a process file
};

} // namespace p2prc::daemon
