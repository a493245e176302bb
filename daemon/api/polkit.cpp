#include "daemon/api/polkit.h"

#include "dbus/codec.h"
#include "net/spawn.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <list>
#include <map>
#include <utility>

namespace p2prc::daemon {

namespace asio = boost::asio;

struct Polkit::Question {
    Question(const asio::any_io_executor& executor, uid_t user, std::string name)
        : uid(user)
        , id(std::move(name))
        , alarm(executor) {}

    uid_t uid;
    std::string id;           // by which it can be cancelled
    asio::steady_timer alarm; // goes at the answer, at the timeout, and when it must make room
    dbus::Message answer;
    bool displaced = false;
};

// Shared with the calls on the bus, which outlive those who asked.
struct Polkit::State {
    std::list<std::shared_ptr<Question>> open; // oldest first
    std::size_t sent = 0;                      // and not answered
    std::uint64_t last_id = 0;
    bool closed = false;
};

namespace {

constexpr const char* service = "org.freedesktop.PolicyKit1";
constexpr const char* path = "/org/freedesktop/PolicyKit1/Authority";
constexpr const char* interface = "org.freedesktop.PolicyKit1.Authority";

bool says_yes(const dbus::Message& answer) {
    int authorised = 0;
    return answer && !answer.is_error() && sd_bus_message_enter_container(answer.get(), 'r', "bba{ss}") > 0 &&
           sd_bus_message_read(answer.get(), "b", &authorised) > 0 && authorised != 0;
}

// The subject is the connection, never a process id, which another process may have by now.
Result<dbus::Message> question_about(const dbus::Bus& bus, const dbus::Message& call,
                                     const PolkitQuestion& about, const std::string& id) {
    auto question = bus.new_call(service, path, interface, "CheckAuthorization");
    if (!question) return question;
    const bool may_prompt =
        about.may_prompt && sd_bus_message_get_allow_interactive_authorization(call.get()) > 0;
    const int r = sd_bus_message_append(question->get(), "(sa{sv})s", "system-bus-name", 1, "name", "s",
                                        call.sender().c_str(), about.action.c_str());
    if (r < 0) return std::unexpected(dbus::bus_error("asking polkit", r));
    if (const auto written = dbus::write_value(*question, "a{ss}", about.details); !written)
        return std::unexpected(written.error());
    const int end = sd_bus_message_append(question->get(), "us", may_prompt ? 1U : 0U, id.c_str());
    if (end < 0) return std::unexpected(dbus::bus_error("asking polkit", end));
    return question;
}

} // namespace

Polkit::Polkit(dbus::Bus& bus) : bus_(&bus), state_(std::make_shared<State>()) {}

Polkit::~Polkit() {
    state_->closed = true;
    for (const auto& question : state_->open)
        question->alarm.cancel();
}

void Polkit::make_room(uid_t uid) {
    std::map<uid_t, std::size_t> counts;
    for (const auto& question : state_->open)
        ++counts[question->uid];
    uid_t payer = uid;
    if (counts[uid] < questions_of_a_user) {
        if (state_->open.size() < questions) return;
        payer = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; })->first;
    }
    const auto oldest =
        std::ranges::find(state_->open, payer, [](const auto& question) { return question->uid; });
    (*oldest)->displaced = true;
    (*oldest)->alarm.cancel();
    state_->open.erase(oldest);
}

// polkit takes its dialog away, and answers the question.
void Polkit::cancel(const Question& question) {
    const auto call = bus_->new_call(service, path, interface, "CancelCheckAuthorization");
    if (!call) return;
    sd_bus_message_set_expect_reply(call->get(), 0);
    if (sd_bus_message_append(call->get(), "s", question.id.c_str()) >= 0) (void)bus_->send(*call);
}

asio::awaitable<Result<void>> Polkit::ask(dbus::Message call, uid_t uid, PolkitQuestion about) {
    const std::string& action = about.action;
    const auto refusal = [&action](std::string why, std::string hint) {
        return fail(ErrorCode::NotPermitted, "you may not do this (" + action + ")" + why, std::move(hint));
    };
    const auto how_to_be_allowed = "use sudo, or have a polkit rule allow " + action + " to you: p2prcd(8)";
    if (state_->sent >= unanswered)
        co_return refusal(": polkit answers no questions at present", "use sudo; systemctl status polkit");
    make_room(uid);
    const auto state = state_;
    auto question =
        std::make_shared<Question>(bus_->executor(), uid, "p2prcd-" + std::to_string(++state->last_id));
    auto message = question_about(*bus_, call, about, question->id);
    if (!message) co_return std::unexpected(message.error());
    question->alarm.expires_after(timeout);
    state->open.push_back(question);
    ++state->sent;
    auto carry = [](dbus::Bus* bus, dbus::Message asked, std::shared_ptr<State> shared,
                    std::shared_ptr<Question> open) -> asio::awaitable<void> {
        dbus::Message answer = co_await bus->exchange(std::move(asked), dbus::no_timeout);
        --shared->sent;
        open->answer = std::move(answer);
        open->alarm.cancel();
    };
    asio::co_spawn(bus_->executor(), carry(bus_, *message, state, question),
                   net::ReportFailure("a question to polkit"));
    boost::system::error_code ignored;
    co_await question->alarm.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    std::erase(state->open, question);
    if (says_yes(question->answer)) co_return Result<void>{};
    if (question->answer) co_return refusal("", how_to_be_allowed); // no polkit: root alone
    if (state->closed) co_return refusal(": p2prcd is ending", "try again");
    cancel(*question);
    if (question->displaced)
        co_return refusal(": too many such questions are open", "answer those first, or use sudo");
    co_return refusal(": nobody has entered the password in time", how_to_be_allowed);
}

} // namespace p2prc::daemon
