// Calls of a user who is not root, without polkit and with one that says yes or no.
#include "dbus/codec.h"
#include "tests/unit/daemon/api/fixture.h"

#include <unistd.h>

namespace p2prc::daemon {
namespace {

namespace asio = boost::asio;

struct Question {
    bool says = true;
    Json asked;
};

asio::awaitable<Result<dbus::Message>> decide(Question* question, dbus::Message call) {
    question->asked = dbus::read_body(call).value_or(nullptr);
    auto reply = call.new_reply();
    const Json decision = Json::array({question->says, false, Json::object()});
    (void)dbus::write_value(*reply, "(bba{ss})", decision);
    co_return reply;
}

class PolkitTest : public ApiTest {
  protected:
    void SetUp() override {
        if (geteuid() != 0) GTEST_SKIP() << "needs root to call as another user";
        populate();
        start();
    }

    void start_polkit() {
        polkit = bus.connect();
        dbus::Interface authority{"org.freedesktop.PolicyKit1.Authority"};
        authority.methods.push_back({"CheckAuthorization",
                                     {{"(sa{sv})", "subject"},
                                      {"s", "action"},
                                      {"a{ss}", "details"},
                                      {"u", "flags"},
                                      {"s", "cancellation"}},
                                     {{"(bba{ss})", "result"}},
                                     [this](dbus::Message call) { return decide(&question, call); }});
        registration = polkit->add_object("/org/freedesktop/PolicyKit1/Authority", authority).value();
        ASSERT_TRUE(bus.run(polkit->request_name("org.freedesktop.PolicyKit1")));
    }

    std::string as_nobody(const std::string& call) {
        return bus.run_as("nobody", "call org.p2prc1 /org/p2prc1 org.p2prc1.Manager " + call);
    }

    Question question;
    std::unique_ptr<dbus::Bus> polkit;
    dbus::Registration registration;
};

TEST_F(PolkitTest, ReadingIsOpenAndWithoutPolkitNothingElseIs) {
    EXPECT_NE(as_nobody("ListProcess").find("exit 0"), std::string::npos);
    const std::string refused = as_nobody("UnmapDomain s wiki.home.example");
    EXPECT_NE(refused.find("exit 1"), std::string::npos);
    EXPECT_NE(refused.find("org.p2prc1.map-domain"), std::string::npos) << refused;
    EXPECT_TRUE(fleet.requests.requests.empty());
}

TEST_F(PolkitTest, PolkitDecidesAboutTheConnection) {
    start_polkit();
    fleet.requests.answers["domain.unmap"] = [](const Json& params) -> Result<Json> { return params; };
    const std::string done = as_nobody("UnmapDomain s wiki.home.example");
    EXPECT_NE(done.find("exit 0"), std::string::npos) << done;
    EXPECT_EQ(question.asked[0][0], "system-bus-name");
    EXPECT_TRUE(question.asked[0][1]["name"].get<std::string>().starts_with(":"));
    EXPECT_EQ(question.asked[1], "org.p2prc1.map-domain");
    ASSERT_EQ(fleet.requests.requests.size(), 1U);
    EXPECT_EQ(fleet.requests.requests[0].second["by"], "nobody@home1");
    question.says = false;
    EXPECT_NE(as_nobody("RemoveNode s root1").find("org.p2prc1.manage-fleet"), std::string::npos);
    EXPECT_TRUE(fleet.removed.empty());
}

} // namespace
} // namespace p2prc::daemon
