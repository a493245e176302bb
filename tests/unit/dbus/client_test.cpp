#include "dbus/client.h"
#include "dbus/codec.h"
#include "dbus/names.h"
#include "tests/unit/support/private_bus.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

namespace p2prc::dbus {
namespace {

namespace asio = boost::asio;

// A stand-in for p2prcd: notes what it is asked and answers from a script.
class ClientTest : public ::testing::Test {
  protected:
    void SetUp() override {
        server = bus.connect();
        user = bus.connect();
    }

    MethodHandler answer(std::string out, Json values) {
        return [this, out, values](Message call) { return respond(this, call, out, values); };
    }
    static asio::awaitable<Result<Message>> respond(ClientTest* test, Message call, std::string out,
                                                    Json values) {
        test->body = read_body(call).value_or(nullptr);
        auto reply = call.new_reply();
        std::size_t at = 0;
        for (const Json& value : values)
            (void)write_value(*reply, out.substr(at, values.size() == 1 ? std::string::npos : 1), value),
                ++at;
        co_return reply;
    }
    void serve(const std::string& path, Interface interface) {
        registrations.push_back(server->add_object(path, std::move(interface)).value());
        ASSERT_TRUE(bus.run(server->request_name(names::service)));
    }

    test::PrivateBus bus;
    std::unique_ptr<Bus> server;
    std::unique_ptr<Bus> user;
    std::vector<Registration> registrations;
    Json body;
};

asio::awaitable<Result<Message>> give_pipe(Message call) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) co_return fail(ErrorCode::Failed, "pipe");
    (void)!write(ends[1], "line\n", 5);
    auto reply = call.new_reply();
    sd_bus_message_append(reply->get(), "h", ends[0]);
    close(ends[0]);
    close(ends[1]);
    co_return reply;
}

TEST_F(ClientTest, SpinSendsTheTypesOfTheTable) {
    Interface manager{names::manager_interface};
    const Json path = Json::array({"/org/p2prc1/process/7"});
    manager.methods.push_back(
        {"SpinProcess", {{"a{sv}", "spec"}, {"s", "node"}}, {{"o", "object"}}, answer("o", path)});
    serve(names::root_path, std::move(manager));
    Client client(*user);
    const Json spec =
        Json::parse(R"({"name":"wiki","port":0,"run":{"command":"exec wiki","environment":{"A":"b"}},
        "limits":{"memory":1048576}})");
    const auto object = bus.run(client.spin(spec, "home1"));
    ASSERT_TRUE(object) << object.error().message;
    EXPECT_EQ(*object, "/org/p2prc1/process/7");
    EXPECT_EQ(body, Json::array({spec, "home1"}));
    const Json wrong = Json::parse(R"({"name":"wiki","run":{"environment":{"A":1}}})");
    const auto refused = bus.run(client.spin(wrong, ""));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::InvalidSpec);
    EXPECT_NE(refused.error().message.find("run.environment"), std::string::npos);
}

TEST_F(ClientTest, LogsAreAPipe) {
    Interface manager{names::manager_interface};
    manager.methods.push_back(
        {"Logs", {{"s", "process"}, {"u", "lines"}, {"b", "follow"}}, {{"h", "stream"}}, &give_pipe});
    serve(names::root_path, std::move(manager));
    Client client(*user);
    const auto fd = bus.run(client.logs("wiki", 5, false, false));
    ASSERT_TRUE(fd) << fd.error().message;
    char text[16];
    EXPECT_EQ(read(*fd, text, sizeof text), 5);
    EXPECT_EQ(read(*fd, text, sizeof text), 0);
    close(*fd);
}

TEST_F(ClientTest, NoDaemonIsUnreachableAndSaysWhatToDo) {
    Client client(*user);
    const auto list = bus.run(client.processes());
    ASSERT_FALSE(list);
    EXPECT_EQ(list.error().code, ErrorCode::Unreachable);
    EXPECT_EQ(list.error().message, "p2prcd is not running");
    EXPECT_FALSE(list.error().hint.empty());
}

TEST_F(ClientTest, AnAnswerOfAnotherFormIsRefused) {
    Interface edge{names::edge_interface};
    const Json text = Json::array({"surprise"});
    edge.methods.push_back({"GetRoutes", {}, {{"s", "surprise"}}, answer("s", text)});
    serve(names::edge_path, std::move(edge));
    EdgeClient client(*user);
    EXPECT_EQ(bus.run(client.routes()).error().code, ErrorCode::Failed);
}

TEST_F(ClientTest, RoutesComeWithTheirRevisionAndAreWatched) {
    Interface edge{names::edge_interface};
    const Json table = Json::parse(R"({"routes":[{"domain":"a.b","mapping_id":3}],"zones":[]})");
    edge.methods.push_back({"GetRoutes", {}, {{"t", "revision"}, {"a{sv}", "table"}}, [table](Message call) {
                                return [](Message c, Json t) -> asio::awaitable<Result<Message>> {
                                    auto reply = c.new_reply();
                                    (void)write_value(*reply, "t", 9);
                                    (void)write_dictionary(*reply, t);
                                    co_return reply;
                                }(call, table);
                            }});
    std::vector<std::uint64_t> revisions;
    EdgeClient client(*user);
    const auto watch = client.watch([&](std::uint64_t revision) { revisions.push_back(revision); });
    ASSERT_TRUE(watch);
    ASSERT_TRUE(bus.run(user->name_owner(names::service)));
    serve(names::edge_path, std::move(edge));
    const auto feed = bus.run(client.routes());
    ASSERT_TRUE(feed) << feed.error().message;
    EXPECT_EQ(feed->revision, 9U);
    EXPECT_EQ(feed->document, table);
    Message signal = server->new_signal(names::edge_path, names::edge_interface, "RoutesChanged").value();
    ASSERT_TRUE(write_value(signal, "t", 10));
    const char* unique = nullptr;
    ASSERT_GE(sd_bus_get_unique_name(user->get(), &unique), 0);
    ASSERT_TRUE(server->send_to(signal, unique));
    ASSERT_TRUE(bus.run(client.routes()));
    EXPECT_EQ(revisions, (std::vector<std::uint64_t>{0, 10}));
}

// A p2prcd of the version before runs on while the packages are upgraded.
TEST_F(ClientTest, HelpersFindTheirObjectWhereItWas) {
    const auto edge_object = [this] {
        Interface edge{names::edge_interface};
        edge.methods.push_back({"RegisterKey", {{"s", "fingerprint"}}, {}, answer("", Json::array())});
        return edge;
    };
    EdgeClient client(*user);
    serve(names::former_edge_path, edge_object());
    const auto former = bus.run(client.register_key("0123"));
    EXPECT_TRUE(former) << former.error().message;
    EXPECT_EQ(body, Json::array({"0123"}));
    registrations = {server->add_object(names::edge_path, edge_object()).value()};
    EXPECT_TRUE(bus.run(client.register_key("4567")));
    EXPECT_EQ(body, Json::array({"4567"}));
}

// With a limit of time and without.
TEST_F(ClientTest, ADaemonThatDiesInACallIsNamed) {
    const auto silent = [](Message) {
        return []() -> asio::awaitable<Result<Message>> {
            co_await test::sleep_for(std::chrono::seconds(60));
            co_return fail(ErrorCode::Failed, "late");
        }();
    };
    const auto serve_silent = [&] {
        Interface manager{names::manager_interface};
        manager.methods.push_back({"ListNodes", {}, {{"aa{sv}", "nodes"}}, silent});
        manager.methods.push_back({"KillProcess", {{"s", "process"}}, {}, silent});
        serve(names::root_path, std::move(manager));
    };
    const auto names_it = [&](auto call) {
        serve_silent();
        asio::steady_timer timer(bus.io, std::chrono::milliseconds(20));
        timer.async_wait([this](boost::system::error_code) {
            registrations.clear();
            server.reset();
        });
        const auto answer = bus.run(std::move(call));
        ASSERT_FALSE(answer);
        EXPECT_EQ(answer.error().code, ErrorCode::Unreachable);
        EXPECT_NE(answer.error().message.find("went away"), std::string::npos) << answer.error().message;
    };
    Client client(*user);
    names_it(client.nodes());
    server = bus.connect();
    names_it(client.kill("web"));
}

} // namespace
} // namespace p2prc::dbus
