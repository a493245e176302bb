#include "dbus/bus.h"
#include "dbus/codec.h"
#include "dbus/limits.h"
#include "dbus/names.h"
#include "tests/unit/support/private_bus.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <array>
#include <optional>

namespace p2prc::dbus {
namespace {

namespace asio = boost::asio;
using test::PrivateBus;

constexpr const char* path = "/org/example1";
constexpr const char* interface_name = "org.example1.Test";

std::string read_string(const Message& message) {
    const char* text = nullptr;
    return sd_bus_message_read(message.get(), "s", &text) > 0 ? text : "(unreadable)";
}

asio::awaitable<Result<Message>> echo(Message call) {
    const std::string text = read_string(call);
    if (text == "slow") co_await test::sleep_for(std::chrono::milliseconds(50));
    if (text == "never") co_await test::sleep_for(std::chrono::seconds(60));
    if (text == "taken") co_return fail(ErrorCode::DomainTaken, "held by 'wiki'", "unmap it first");
    if (text == "several lines")
        co_return fail(ErrorCode::Failed, "it failed:\n  hint: a log line", "look at it");
    if (text == "plain") co_return fail(ErrorCode::NotFound, "no such thing");
    if (text == "unfit")
        co_return fail(ErrorCode::NotFound, std::string("no '\xff\xef\xbf\xbf") + '\0' + "'", "half \xc3");
    if (text == "long") co_return fail(ErrorCode::NotFound, std::string(70000, 'a') + "\xc3\xa9", "see");
    if (text == "no string") throw 5;
    if (text == "unsendable") {
        auto reply = call.new_reply();
        sd_bus_message_open_container(reply->get(), 'a', "s"); // sd-bus refuses to send it
        co_return reply;
    }
    if (text == "largest" || text == "too large") {
        auto reply = call.new_reply();
        const std::string large(largest_message - (text == "largest" ? 5 : 4), 'x');
        const auto written = write_value(*reply, "s", large, {.bytes = 2 * largest_message});
        if (!written) co_return std::unexpected(written.error());
        co_return reply;
    }
    if (text == "a mebibyte") {
        auto reply = call.new_reply();
        const auto written = write_value(*reply, "s", std::string(std::size_t{1} << 20U, 'x'));
        if (!written) co_return std::unexpected(written.error());
        co_return reply;
    }
    if (text == "throw") throw std::runtime_error("thrown on purpose");
    auto reply = call.new_reply();
    if (reply) sd_bus_message_append(reply->get(), "s", text.c_str());
    co_return reply;
}

Interface example(std::string* value) {
    Interface interface{interface_name};
    interface.methods.push_back({"Echo", {{"s", "text"}}, {{"s", "same"}}, &echo});
    interface.properties.push_back(
        {"Value", "s", Emits::Change, [value](const std::string&, const Message& reply) -> Result<void> {
             return write_value(reply, "s", *value);
         }});
    interface.properties.push_back(
        {"Unfit", "s", Emits::Change, [](const std::string&, const Message&) -> Result<void> {
             return fail(ErrorCode::InvalidSpec, "does not fit");
         }});
    interface.properties.push_back(
        {"Broken", "as", Emits::Change, [](const std::string&, const Message&) -> Result<void> {
             throw std::runtime_error("thrown on purpose");
         }});
    interface.signals.push_back({"Happened", {{"s", "what"}}});
    return interface;
}

class BusTest : public ::testing::Test {
  protected:
    void SetUp() override {
        server = bus.connect();
        client = bus.connect();
        object = server->add_object(path, example(&value)).value();
        ASSERT_TRUE(bus.run(server->request_name("org.example1")));
    }

    Message make(const std::string& text) {
        Message call = client->new_call("org.example1", path, interface_name, "Echo").value();
        sd_bus_message_append(call.get(), "s", text.c_str());
        return call;
    }
    Result<Message> echo_call(const std::string& text, std::chrono::microseconds timeout = default_timeout) {
        return bus.run(client->call(make(text), timeout));
    }

    PrivateBus bus;
    std::string value = "first";
    std::unique_ptr<Bus> server;
    std::unique_ptr<Bus> client;
    Registration object;
};

// An error text that sd-bus refuses, an exception of any kind, an answer that cannot be sent: never silence.
TEST_F(BusTest, EveryCallIsAnswered) {
    for (const auto* text : {"unfit", "long", "no string", "unsendable", "throw"}) {
        const auto reply = echo_call(text);
        ASSERT_FALSE(reply) << text;
        EXPECT_NE(reply.error().code, ErrorCode::Unreachable) << text << ": " << reply.error().message;
    }
    const auto unfit = echo_call("unfit").error();
    EXPECT_EQ(unfit, (Error{ErrorCode::NotFound, "no '\uFFFD\uFFFD\uFFFD'", "half \uFFFD"}));
    const auto cut = echo_call("long").error();
    EXPECT_TRUE(cut.message.ends_with("aaa...")) << cut.message.substr(cut.message.size() - 10);
    EXPECT_EQ(cut.hint, "see");
}

// dbus-daemon would end the connection.
TEST_F(BusTest, AnAnswerThatTheBusDoesNotCarryIsAnError) {
    const auto largest = echo_call("largest");
    ASSERT_TRUE(largest) << largest.error().message;
    EXPECT_EQ(read_string(*largest).size(), largest_message - 5);
    const auto large = echo_call("too large");
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error(), too_large());
    EXPECT_TRUE(echo_call("hello"));
}

TEST_F(BusTest, AListOfObjectsThatTheBusDoesNotCarryIsAnError) {
    constexpr std::size_t each = 50'000;
    std::size_t count = largest_message / (each + 1000);
    Interface interface{"org.example1.Large"};
    interface.properties.push_back(
        {"Value", "s", Emits::Change, [](const std::string&, const Message& reply) {
             return write_value(reply, "s", std::string(each, 'x'));
         }});
    const std::string below = "/org/example1/large";
    const auto objects = server->add_objects(below, interface,
                                             [&](const std::string& at) { return at.size() > below.size(); });
    const auto list = server->add_enumerator(below, [&] {
        std::vector<std::string> paths;
        for (std::size_t i = 0; i < count; ++i)
            paths.push_back(below + "/" + std::to_string(i));
        return paths;
    });
    const auto manager = server->add_object_manager(below);
    ASSERT_TRUE(objects && list && manager);
    const auto call = [&](const char* interface_of, const char* member, const std::string& at) {
        return client->new_call("org.example1", at, interface_of, member).value();
    };
    const auto managed = [&] {
        return bus.run(client->call(call("org.freedesktop.DBus.ObjectManager", "GetManagedObjects", below)));
    };
    const auto most = managed();
    ASSERT_TRUE(most) << most.error().message;
    count = largest_message / each;
    const auto large = managed();
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error(), too_large());
    // Neither the next list nor one object counts what was before.
    count = 1;
    EXPECT_TRUE(managed());
    Message one = call("org.freedesktop.DBus.Properties", "GetAll", below + "/7");
    sd_bus_message_append(one.get(), "s", "org.example1.Large");
    EXPECT_TRUE(bus.run(client->call(one)));
}

// A program that asks and never reads.
class DeafCaller {
  public:
    explicit DeafCaller(const std::string& address) {
        sd_bus_new(&bus_);
        sd_bus_set_address(bus_, address.c_str());
        sd_bus_set_bus_client(bus_, 1);
        sd_bus_start(bus_);
        const char* name = nullptr;
        sd_bus_get_unique_name(bus_, &name); // once the bus has said it
    }
    DeafCaller(const DeafCaller&) = delete;
    DeafCaller& operator=(const DeafCaller&) = delete;
    ~DeafCaller() { sd_bus_close_unref(bus_); }

    void ask(const char* member, const char* interface_of, const char* text) {
        sd_bus_message* call = nullptr;
        ASSERT_GE(sd_bus_message_new_method_call(bus_, &call, "org.example1", path, interface_of, member), 0);
        const Message owned = Message::adopt(call);
        if (text) sd_bus_message_append(call, "s", text);
        std::uint64_t cookie = 0; // without it, sd-bus says that no answer is wanted
        ASSERT_GE(sd_bus_send(bus_, call, &cookie), 0);
        ASSERT_GE(sd_bus_flush(bus_), 0);
    }
    // Reads at last: how many of its calls were refused.
    int read_refusals() {
        int refused = 0;
        for (int r = 1; r >= 0;) {
            sd_bus_message* message = nullptr;
            r = sd_bus_process(bus_, &message);
            const Message owned = Message::adopt(message);
            refused += owned && owned.error_name() == SD_BUS_ERROR_LIMITS_EXCEEDED;
            if (r == 0 && sd_bus_wait(bus_, 200'000) <= 0) break;
        }
        return refused;
    }

  private:
    sd_bus* bus_ = nullptr;
};

// dbus-daemon reads nothing more of a connection whose messages, 127 MiB in all, nobody reads.
TEST_F(BusTest, CallersThatDoNotReadSilenceItTowardsNobodyElse) {
    std::array<DeafCaller, 4> deaf{DeafCaller(bus.address()), DeafCaller(bus.address()),
                                   DeafCaller(bus.address()), DeafCaller(bus.address())};
    for (int turn = 0; turn < 60; ++turn) {
        for (auto& caller : deaf)
            caller.ask("Echo", interface_name, "a mebibyte");
        const auto heard = echo_call("hello", std::chrono::seconds(10));
        ASSERT_TRUE(heard) << "turn " << turn << ": " << heard.error().message;
    }
    for (int turn = 0; turn < 60; ++turn) {
        const auto large = echo_call("a mebibyte", std::chrono::seconds(10));
        ASSERT_TRUE(large) << "turn " << turn << ": " << large.error().message;
    }
    int refused = 0;
    auto read = [&]() -> asio::awaitable<Result<int>> {
        for (auto& caller : deaf)
            refused += caller.read_refusals();
        co_return refused;
    };
    EXPECT_GT(bus.run(read()).value(), 8) << "more than one of them heard why";
}

// The edge and the connector wait for an answer as long as it takes: one that never comes would stop them.
TEST_F(BusTest, HelpersAreNeverRefused) {
    Interface edge = example(&value);
    edge.name = names::edge_interface;
    const auto second = server->add_object(path, edge);
    ASSERT_TRUE(second);
    DeafCaller helper(bus.address()), other(bus.address());
    for (int turn = 0; turn < 40; ++turn) {
        helper.ask("Echo", names::edge_interface, "a mebibyte");
        if (turn < 30) other.ask("Echo", interface_name, "a mebibyte");
        ASSERT_TRUE(echo_call("hello", std::chrono::seconds(10))) << "turn " << turn;
    }
    EXPECT_EQ(helper.read_refusals(), 0);
    EXPECT_GT(other.read_refusals(), 0);
}

// What sd-bus answers without our code counts as well.
TEST_F(BusTest, PropertiesThatAreNotReadCountToo) {
    value = std::string(std::size_t{1} << 20U, 'x');
    DeafCaller deaf(bus.address());
    for (int turn = 0; turn < 150; ++turn) {
        deaf.ask("GetAll", "org.freedesktop.DBus.Properties", interface_name);
        const auto heard = echo_call("hello", std::chrono::seconds(10));
        ASSERT_TRUE(heard) << "turn " << turn << ": " << heard.error().message;
    }
    EXPECT_GT(deaf.read_refusals(), 4);
}

TEST_F(BusTest, APropertyThatCannotBeToldTakesNoOtherAlong) {
    Message call =
        client->new_call("org.example1", path, "org.freedesktop.DBus.Properties", "GetAll").value();
    sd_bus_message_append(call.get(), "s", interface_name);
    auto all = bus.run(client->call(call));
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(read_value(*all).value(),
              nlohmann::json({{"Value", "first"}, {"Unfit", ""}, {"Broken", nlohmann::json::array()}}));
}

TEST_F(BusTest, CallsAreAnswered) {
    auto reply = echo_call("hello");
    ASSERT_TRUE(reply) << reply.error().message;
    EXPECT_EQ(read_string(*reply), "hello");
}

TEST_F(BusTest, ConcurrentCallsOverlapAndDoNotMix) {
    auto both = [this]() -> asio::awaitable<Result<std::string>> {
        using namespace asio::experimental::awaitable_operators;
        Message slow = make("slow");
        Message quick = make("quick");
        auto [first, second] = co_await (client->call(slow) && client->call(quick));
        if (!first || !second) co_return fail(ErrorCode::Failed, "a call failed");
        co_return read_string(*first) + "+" + read_string(*second);
    };
    const auto text = bus.run(both());
    ASSERT_TRUE(text);
    EXPECT_EQ(*text, "slow+quick");
}

TEST_F(BusTest, ErrorsKeepCodeMessageAndHint) {
    const auto taken = echo_call("taken");
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error(), (Error{ErrorCode::DomainTaken, "held by 'wiki'", "unmap it first"}));
    // One string: GLib shows no other body's text.
    const Message raw = bus.run(client->exchange(make("taken")));
    EXPECT_EQ(raw.signature(), "s");
    EXPECT_EQ(raw.error_message(), "held by 'wiki'\nhint: unmap it first");
    const auto long_one = echo_call("several lines");
    ASSERT_FALSE(long_one);
    EXPECT_EQ(long_one.error(), (Error{ErrorCode::Failed, "it failed:\n  hint: a log line", "look at it"}));
    const auto plain = echo_call("plain");
    ASSERT_FALSE(plain);
    EXPECT_EQ(plain.error(), (Error{ErrorCode::NotFound, "no such thing", ""}));
    const auto thrown = echo_call("throw");
    ASSERT_FALSE(thrown);
    EXPECT_EQ(thrown.error().code, ErrorCode::Failed);
    EXPECT_NE(thrown.error().message.find("thrown on purpose"), std::string::npos);
}

TEST_F(BusTest, StandardErrorsMapBySense) {
    Message nobody = client->new_call("org.nobody1", path, interface_name, "Echo").value();
    EXPECT_EQ(bus.run(client->call(nobody)).error().code, ErrorCode::Unreachable);
    Message method = client->new_call("org.example1", path, interface_name, "Nothing").value();
    EXPECT_EQ(bus.run(client->call(method)).error().code, ErrorCode::NotSupported);
    Message object_call = client->new_call("org.example1", "/nowhere", interface_name, "Echo").value();
    EXPECT_EQ(bus.run(client->call(object_call)).error().code, ErrorCode::NotFound);
    Message arguments = client->new_call("org.example1", path, interface_name, "Echo").value();
    EXPECT_EQ(bus.run(client->call(arguments)).error().code, ErrorCode::InvalidSpec);
    Message raw = bus.run(client->exchange(client->new_call("org.nobody1", path, "a.b", "C").value()));
    EXPECT_EQ(raw.error_name(), "org.freedesktop.DBus.Error.ServiceUnknown");
}

TEST_F(BusTest, TimeoutFiresOnAnIdleLoop) {
    const auto result = echo_call("never", std::chrono::milliseconds(500));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Unreachable);
}

TEST_F(BusTest, ACallCanBeCancelled) {
    auto race = [this]() -> asio::awaitable<Result<std::string>> {
        using namespace asio::experimental::awaitable_operators;
        Message call = make("never");
        auto winner =
            co_await (client->call(call, no_timeout) || test::sleep_for(std::chrono::milliseconds(20)));
        co_return winner.index() == 1 ? std::string("cancelled") : std::string("answered");
    };
    EXPECT_EQ(bus.run(race()).value(), "cancelled");
    EXPECT_EQ(read_string(*echo_call("after")), "after");
}

TEST_F(BusTest, ABigSignalIsDelivered) {
    std::size_t received = 0;
    const auto registration = client->match("type='signal',interface='org.example1.Test',member='Happened'",
                                            [&](const Message& m) { received = read_string(m).size(); });
    ASSERT_TRUE(registration);
    ASSERT_TRUE(echo_call("settled")); // the match is in force now
    const std::string big(24U << 20U, 'x');
    Message signal = server->new_signal(path, interface_name, "Happened").value();
    ASSERT_GE(sd_bus_message_append(signal.get(), "s", big.c_str()), 0);
    ASSERT_TRUE(server->send(signal));
    auto wait = [&]() -> asio::awaitable<Result<std::string>> {
        while (received == 0)
            co_await test::sleep_for(std::chrono::milliseconds(5));
        co_return std::string();
    };
    (void)bus.run(wait());
    EXPECT_EQ(received, big.size());
}

TEST_F(BusTest, AUnicastSignalReachesOneConnectionAlone) {
    auto other = bus.connect();
    int here = 0;
    int there = 0;
    const std::string rule = "type='signal',interface='org.example1.Test'";
    const auto first = client->match(rule, [&](const Message&) { ++here; });
    const auto second = other->match(rule, [&](const Message&) { ++there; });
    ASSERT_TRUE(echo_call("settled"));
    ASSERT_TRUE(bus.run(other->name_owner("org.example1")));
    const char* unique = nullptr;
    ASSERT_GE(sd_bus_get_unique_name(client->get(), &unique), 0);
    Message signal = server->new_signal(path, interface_name, "Happened").value();
    sd_bus_message_append(signal.get(), "s", "for you");
    ASSERT_TRUE(server->send_to(signal, unique));
    ASSERT_TRUE(echo_call("settled"));
    ASSERT_TRUE(bus.run(other->name_owner("org.example1")));
    EXPECT_EQ(here, 1);
    EXPECT_EQ(there, 0);
}

TEST_F(BusTest, ADroppedMatchIsSilent) {
    int count = 0;
    auto registration =
        client->match("type='signal',interface='org.example1.Test'", [&](const Message&) { ++count; });
    ASSERT_TRUE(registration);
    registration->reset();
    ASSERT_TRUE(echo_call("settled"));
    Message signal = server->new_signal(path, interface_name, "Happened").value();
    sd_bus_message_append(signal.get(), "s", "unheard");
    ASSERT_TRUE(server->send(signal));
    ASSERT_TRUE(echo_call("settled"));
    EXPECT_EQ(count, 0);
}

TEST_F(BusTest, AHandlerThatThrowsHearsTheNextSignalToo) {
    int count = 0;
    const auto registration =
        client->match("type='signal',interface='org.example1.Test'", [&](const Message&) {
            if (++count == 1) throw std::runtime_error("broken");
        });
    ASSERT_TRUE(registration);
    ASSERT_TRUE(echo_call("settled"));
    for (int i = 0; i < 2; ++i) {
        Message signal = server->new_signal(path, interface_name, "Happened").value();
        sd_bus_message_append(signal.get(), "s", "word");
        ASSERT_TRUE(server->send(signal));
    }
    ASSERT_TRUE(echo_call("settled"));
    EXPECT_EQ(count, 2);
}

TEST_F(BusTest, PropertiesAreReadAndAnnounced) {
    std::string changed;
    const auto registration =
        client->match("type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
                      [&](const Message& m) {
                          const char* name = nullptr;
                          const char* text = nullptr;
                          sd_bus_message_read(m.get(), "s", nullptr);
                          sd_bus_message_enter_container(m.get(), 'a', "{sv}");
                          sd_bus_message_enter_container(m.get(), 'e', "sv");
                          sd_bus_message_read(m.get(), "s", &name);
                          sd_bus_message_read(m.get(), "v", "s", &text);
                          changed = std::string(name) + "=" + text;
                      });
    ASSERT_TRUE(echo_call("settled"));
    value = "second";
    ASSERT_TRUE(server->emit_properties_changed(path, interface_name, {"Value"}));
    ASSERT_TRUE(echo_call("settled"));
    EXPECT_EQ(changed, "Value=second");
}

TEST_F(BusTest, ANameHasOneOwner) {
    const auto second = bus.run(client->request_name("org.example1"));
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::Conflict);
    EXPECT_TRUE(bus.run(server->request_name("org.example1")));
}

TEST_F(BusTest, AWatchSeesTheOwnerGo) {
    std::vector<std::string> owners;
    const auto watch = client->watch_name("org.example1", [&](const std::string& o) { owners.push_back(o); });
    EXPECT_FALSE(bus.run(client->name_owner("org.example1")).value().empty());
    object.reset();
    server.reset();
    auto wait = [&]() -> asio::awaitable<Result<std::string>> {
        while (owners.empty())
            co_await test::sleep_for(std::chrono::milliseconds(5));
        co_return std::string();
    };
    (void)bus.run(wait());
    EXPECT_EQ(owners, std::vector<std::string>{""});
    EXPECT_TRUE(bus.run(client->name_owner("org.example1")).value().empty());
}

TEST_F(BusTest, SendersHaveAUser) {
    const char* unique = nullptr;
    ASSERT_GE(sd_bus_get_unique_name(client->get(), &unique), 0);
    for (int round = 0; round < 2; ++round)
        EXPECT_EQ(bus.run(server->sender_uid(unique)).value(), getuid());
    EXPECT_FALSE(bus.run(server->sender_uid(":1.4242")));
}

TEST_F(BusTest, ADeadBusEndsCallsAndIsReported) {
    std::optional<Error> reported;
    client->on_disconnect([&](const Error& error) { reported = error; });
    auto work = [this]() -> asio::awaitable<Result<Message>> {
        Message call = make("never");
        co_return co_await client->call(call, no_timeout);
    };
    asio::steady_timer timer(bus.io, std::chrono::milliseconds(30));
    timer.async_wait([this](boost::system::error_code) { bus.kill(); });
    const auto result = bus.run(work());
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::Unreachable);
    auto wait = [&]() -> asio::awaitable<Result<std::string>> {
        while (!reported)
            co_await test::sleep_for(std::chrono::milliseconds(5));
        co_return std::string();
    };
    (void)bus.run(wait());
    EXPECT_EQ(reported->code, ErrorCode::Unreachable);
    EXPECT_FALSE(client->connected());
    EXPECT_EQ(echo_call("later").error().code, ErrorCode::Unreachable);
}

TEST_F(BusTest, ABusThatTakesNoMoreMessagesEndsTheConnection) {
    std::optional<Error> reported;
    client->on_disconnect([&](const Error& error) { reported = error; });
    client->end_when_stuck(std::chrono::milliseconds(4000));
    const auto fill = [&] {
        bus.pause();
        for (int i = 0; i < 20; ++i) // sd-bus has the socket buffer 8 MiB
            ASSERT_TRUE(client->send(make(std::string(std::size_t{1} << 20U, 'x'))));
    };
    const auto wait = [](std::chrono::milliseconds time) -> asio::awaitable<Result<std::string>> {
        co_await test::sleep_for(time);
        co_return std::string();
    };
    fill();
    (void)bus.run(wait(std::chrono::milliseconds(300)));
    bus.resume();
    (void)bus.run(wait(std::chrono::milliseconds(4500)));
    EXPECT_FALSE(reported) << "it went on in time";
    EXPECT_TRUE(echo_call("hello"));
    bool answered = false;
    asio::co_spawn(bus.io, client->call(make("never"), no_timeout),
                   [&](std::exception_ptr, const Result<Message>& answer) { answered = !answer; });
    client->end_when_stuck(std::chrono::milliseconds(500));
    fill();
    for (int i = 0; i < 600 && (!reported || !answered); ++i)
        (void)bus.run(wait(std::chrono::milliseconds(50)));
    ASSERT_TRUE(reported);
    EXPECT_EQ(reported->code, ErrorCode::Unreachable);
    EXPECT_FALSE(client->connected());
    EXPECT_TRUE(answered) << "a call whose answer cannot come any more waits for it";
    bus.resume();
}

TEST_F(BusTest, DestroyingABusAnswersItsCalls) {
    asio::steady_timer timer(bus.io, std::chrono::milliseconds(20));
    timer.async_wait([this](boost::system::error_code) { client.reset(); });
    auto work = [this]() -> asio::awaitable<Result<Message>> {
        Message call = make("never");
        auto pending = client->call(call, no_timeout);
        co_return co_await std::move(pending);
    };
    EXPECT_EQ(bus.run(work()).error().code, ErrorCode::Unreachable);
}

TEST(Paths, EncodeAndDecode) {
    EXPECT_EQ(path_encode("/org/p2prc1/domain", "a.home.example"), "/org/p2prc1/domain/a_2ehome_2eexample");
    EXPECT_EQ(path_decode("/org/p2prc1/domain", "/org/p2prc1/domain/a_2ehome_2eexample"), "a.home.example");
    EXPECT_EQ(path_decode("/org/p2prc1/domain", "/org/p2prc1/node/a"), "");
}

} // namespace
} // namespace p2prc::dbus
